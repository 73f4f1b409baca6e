"""Every configuration that ships with valle is valid and says what it is; `valle config` lists, copies, shows and checks them."""

import io
import json
import re
from pathlib import Path

import pytest
import yaml

from pipelines import config_files
from pipelines.console import Console
from valle_data.config import Config
from valle_data.errors import ExitCode, UsageError
from valle_data.registry import Table
from valle_data.yaml_config import ConfigError, dump_config, load_config


@pytest.mark.parametrize("name", [file.name for file in config_files.shipped()])
def test_shipped_configuration(name, tmp_path):
    (file,) = [file for file in config_files.shipped() if file.name == name]
    model = config_files.model_for(file.path, None)
    config = load_config(model, file.path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config), encoding="utf-8")
    assert load_config(model, copy) == config, "what is saved beside a run loads back equal"
    header = re.match(r"(#.*\n)+", file.path.read_text(encoding="utf-8"))
    assert file.title and header and f"valle {name.split('/')[0]} " in header.group(), "the header says what it is and shows the command"


class Small(Config):
    """A model for the tests below."""

    steps: int = 1
    rate_hz: float = 2.0


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "shipped"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "debug.yaml").write_text("# The smallest run.\nsteps: 3\n", encoding="utf-8")
    (folder / "train" / "digits.yaml").write_text("# Digits.\n# More.\nbase: debug.yaml\nrate_hz: 4\n", encoding="utf-8")
    monkeypatch.setattr(config_files, "folder", lambda: folder)
    monkeypatch.setattr(config_files, "KINDS", Table("kind of configuration", {"train": f"{__name__}:Small"}))
    monkeypatch.setattr("valle_data.registry._resolve", lambda target: Small)
    monkeypatch.chdir(tmp_path)
    return folder


def printed(action, *arguments, as_json: bool = False) -> str:
    out = io.StringIO()
    assert action(*arguments, Console(as_json=as_json, stdout=out)) == ExitCode.DONE
    return out.getvalue()


def test_ls_shows_name_and_title(shipped):
    table = json.loads(printed(config_files.list_files, as_json=True))
    assert table["rows"] == [{"name": "train/debug", "what it is": "The smallest run."}, {"name": "train/digits", "what it is": "Digits."}]


@pytest.mark.parametrize("source", ["train/digits", "configs/train/digits.yaml", "shipped/train/digits.yaml"])
def test_show_resolves_bases_and_overrides(shipped, source):
    assert yaml.safe_load(printed(config_files.show, Path(source), ["steps=9"], None)) == {"steps": 9, "rate_hz": 4.0}


def test_validate_names_every_mistake(shipped, tmp_path):
    assert printed(config_files.validate, Path("train/digits"), [], None) == f"{shipped / 'train' / 'digits.yaml'} is a valid Small.\n"
    (tmp_path / "mine.yaml").write_text("step: 1\nrate_khz: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"2 mistakes.*\n.*mine\.yaml:1: step: .*'steps'\?\n.*mine\.yaml:2: rate_khz: .*write `rate_hz`\."):
        config_files.validate(Path("mine.yaml"), [], "train", Console(stdout=io.StringIO()))


def test_the_kind_comes_from_the_folder_or_the_flag(shipped, tmp_path):
    (tmp_path / "mine.yaml").write_text("# as it comes\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"which says nothing about its kind, and nor do its keys\. Add --kind with one of: train\."):
        config_files.validate(Path("mine.yaml"), [], None, Console(stdout=io.StringIO()))
    assert "is a valid Small" in printed(config_files.validate, Path("mine.yaml"), [], "train")
    with pytest.raises(UsageError, match=r"There is no kind of configuration 'trian'\. Did you mean 'train'\?"):
        config_files.model_for(Path("mine.yaml"), "trian")


def test_cp_takes_the_bases_along_and_never_overwrites(shipped, tmp_path):
    printed(config_files.copy, "train/digits", Path("mine"))
    copied = tmp_path / "mine" / "train" / "digits.yaml"
    assert load_config(Small, copied) == Small(steps=3, rate_hz=4)
    assert copied.read_bytes() == (shipped / "train" / "digits.yaml").read_bytes()
    with pytest.raises(UsageError, match=r"mine/train/digits\.yaml exists already\. Remove it or name another folder\."):
        config_files.copy("train/digits", Path("mine"), Console(stdout=io.StringIO()))


def test_cp_does_not_write_outside_its_folder(shipped, tmp_path):
    (tmp_path / "root.yaml").write_text("steps: 1\n", encoding="utf-8")
    (shipped / "train" / "odd.yaml").write_text("base: ../../root.yaml\n", encoding="utf-8")
    with pytest.raises(UsageError, match="which lies outside its folder"):
        config_files.copy("train/odd", Path("mine"), Console(stdout=io.StringIO()))
    assert not (tmp_path / "mine").exists()


def test_an_unknown_name_finds_the_nearest(shipped):
    with pytest.raises(UsageError, match=r"There is no configuration 'train/digit'\. Did you mean 'train/digits'\?"):
        config_files.find(Path("train/digit"))


def test_schema_is_for_an_editor(shipped):
    schema = json.loads(printed(config_files.schema, "train"))
    assert schema["properties"].keys() == {"steps", "rate_hz"} and schema["additionalProperties"] is False


def test_the_schema_of_prepare_offers_every_table_and_stage() -> None:
    from valle_data.stages import STAGES
    from valle_data.text.phonemizers import PHONEMIZERS

    schema = json.loads(printed(config_files.schema, "prepare"))
    assert {"corpus", "codec", *STAGES} <= schema["properties"].keys()
    assert schema["properties"]["phonemizer"]["anyOf"][0]["enum"] == list(PHONEMIZERS)
    refs = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
    assert refs and refs <= schema["$defs"].keys(), "tables within tables lead somewhere and end"


def test_the_kind_of_a_copied_file_comes_from_its_keys(tmp_path: Path) -> None:
    for name, model in (("prepare/my-recordings", "PrepareConfig"), ("train/digits", "TrainConfig")):
        copy = tmp_path / "mine.yaml"
        copy.write_bytes(config_files.find(Path(name)).read_bytes())
        assert config_files.model_for(copy, None).__name__ == model
    copy.write_text("corpus: digits\npart_duratoin_s: 1\n", encoding="utf-8")
    assert config_files.model_for(copy, None).__name__ == "PrepareConfig", "a mistyped key does not hide what the others say"


def test_a_configuration_is_copied_to_a_file(tmp_path: Path) -> None:
    console = Console(stdout=io.StringIO())
    target = tmp_path / "my-voice.yaml"
    assert config_files.copy("train/digits", target, console) == 0
    assert target.read_bytes() == config_files.find(Path("train/digits")).read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        config_files.copy("train/digits", target, console)
    with pytest.raises(UsageError, match=r"builds on digits\.yaml, so it needs a folder"):
        config_files.copy("train/demo", tmp_path / "demo.yaml", console)
