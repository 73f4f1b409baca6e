"""Reading configurations: reliability rows 16 (code in YAML) and 21 (mistakes), `base:`, overrides and the way back."""

import sys
import types
from enum import StrEnum
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from valle_data.config import Config, EntryConfig, from_table
from valle_data.registry import Table
from valle_data.yaml_config import ConfigError, base_chain, dump_config, load_config
from valle_data.yaml_source import parse


class Small:
    class Config(EntryConfig):
        name: str = "small"
        rate_hz: float = Field(default=25.0, gt=0)


class Large:
    class Config(EntryConfig):
        name: str = "large"
        bandwidth_kbps: float = 6.0
        rate_hz: float = 75.0


class Order(StrEnum):
    RANDOM = "random"
    SORTED = "sorted"


sys.modules["tests_yaml_config_entries"] = types.ModuleType("tests_yaml_config_entries")
vars(sys.modules["tests_yaml_config_entries"]).update(Small=Small, Large=Large)
CODERS = Table("coder", {name: f"tests_yaml_config_entries:{name.capitalize()}" for name in ("small", "large")})


class Optimizer(Config):
    lr: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)


class Corpus(Config):
    name: str = "folder"
    path: Path = Path("data")
    max_duration_s: float = Field(default=30.0, gt=0)


class Run(Config):
    steps: int = Field(ge=0)
    language: str = "en-us"
    shuffle: bool = True
    order: Order = Order.RANDOM
    note: str | None = None
    coder: from_table(CODERS) = "small"
    others: list[from_table(CODERS)] = []
    optimizer: Optimizer = Optimizer()
    corpus: Corpus = Corpus()
    weights: dict[str, float] = {}


@pytest.fixture
def write(tmp_path: Path):
    def file(text: str, name: str = "run.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return file


def mistakes(source: Path | None, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(Run, source, overrides)
    assert caught.value.exit_code == 2
    return [str(problem).replace(f"{source.parent}/" if source else "", "") for problem in caught.value.problems]


def test_scalars_follow_yaml_1_2(write):
    config = load_config(Run, write("steps: 0x10\nlanguage: no\nnote: 2026-01-01\nshuffle: false\noptimizer: {lr: 1e-4}\n"))
    assert (config.steps, config.language, config.note, config.shuffle, config.optimizer.lr) == (16, "no", "2026-01-01", False, 1e-4)


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("~", None), ("no", "no"), ("on", "on"), ("true", True), ("1:30", "1:30"), ("010", 10), (".5", 0.5), ("1_000", "1_000")]
)
def test_scalar(text, value):
    parsed = parse(text, "here")
    assert parsed.value == value and type(parsed.value) is type(value) and not parsed.problems


def test_all_mistakes_at_once_with_their_places(write):
    source = write(
        "steps: many\n"
        "optimiser:\n"
        "  lr: 1\n"
        "optimizer:\n"
        "  lr: -1\n"
        "  learning_rate: 1\n"
        "corpus:\n"
        "  max_duration_ms: 30000\n"
        "  max_duration_s: .inf\n"
        "lr: 2\n"
        "order: randon\n"
        "coder: {name: large, bandwidth: 6}\n"
        "others: [smal, {name: small, rate_hz: .nan}]\n"
        "steps: 4\n"
    )
    found = mistakes(source, "optimizer.lrr=3", "weights.a=x", "note")
    expected = [
        ("run.yaml:1: steps: is 'many'; it should be a valid integer"),
        ("run.yaml:2: optimiser: is not a key here. Did you mean 'optimizer'?"),
        ("run.yaml:5: optimizer.lr: is -1; it should be greater than 0."),
        ("run.yaml:6: optimizer.learning_rate: is not a key here. Known here: lr, betas."),
        ("run.yaml:8: corpus.max_duration_ms: is not a key here. This is measured in 's', not 'ms': convert the value and write `max_duration_s`."),
        ("run.yaml:9: corpus.max_duration_s: is inf; it should be a finite number."),
        ("run.yaml:10: lr: is not a key here. Did you mean `optimizer.lr`?"),
        ("run.yaml:11: order: is 'randon'; it should be 'random' or 'sorted'."),
        ("run.yaml:12: coder.bandwidth: is not a key here. Did you mean 'bandwidth_kbps'?"),
        ("run.yaml:13: others.0: is 'smal'; There is no coder 'smal'. Did you mean 'small'? Known: small, large."),
        ("run.yaml:13: others.1.rate_hz: is nan; it should be a finite number."),
        ("run.yaml:14: steps: is given twice; the first is at run.yaml:1. Keep one."),
        ("override `note`: an override reads `key=value` or `key.below=value`."),
        ("override `optimizer.lrr`: is not a key here. Did you mean 'lr'?"),
        ("override `weights.a`: is 'x'; it should be a valid number"),
    ]
    assert sorted(line for line in expected if not any(item.startswith(line) for item in found)) == []
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch PWNED']",
        "!!python/name:os.system",
        "!!python/object/new:subprocess.Popen [['touch', 'PWNED']]",
        "!!python/tuple [1, 2]",
    ],
)
def test_python_tags_are_refused_before_evaluation(write, tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    (line,) = mistakes(write(f"steps: 1\noptimizer:\n  lr: {value}\n"))
    assert line.startswith("run.yaml:3: optimizer.lr: the tag 'tag:yaml.org,2002:python/") and "Write a plain value" in line
    (line,) = mistakes(None, "steps=1", f"note={value}")
    assert line.startswith("override `note`: the tag")
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("steps: [1\n", "run.yaml:2: is not YAML: "),
        ("steps: 1\n\tnote: x\n", "run.yaml:2: is not YAML: "),
        ("a: &x 1\nb: *x\n", "run.yaml:2: is not YAML: aliases (`*name`) are not read; name a file to build on with `base:`."),
        ("a: &x [*x]\n", "run.yaml:1: is not YAML: aliases"),
        ("[" * 5000, "run.yaml:1: is not YAML: nested more than 40 levels deep."),
        ("- 1\n", "run.yaml:1: holds a list, not `key: value` lines."),
        ("steps: 1\n---\nsteps: 2\n", "run.yaml:2: is not YAML: "),
        ("steps: 1\nnote: \x00\n", "run.yaml:2: is not YAML: character U+0000 cannot stand in a text file."),
        ("? [a]\n: 1\nsteps: 1\n", "run.yaml:1: a key is a word, not a list or mapping."),
        ("#" * 1_000_001, "run.yaml: holds 1,000,001 characters; a configuration has at most 1,000,000."),
        ("steps: 1\nschema: 2\n", "run.yaml:2: schema: is 2, but this version of valle reads schema 1. Update valle."),
        ("steps: 1\nschema: 0\n", "run.yaml:2: schema: is 0, but this version of valle reads schema 1. Write `schema: 1` or leave it out"),
        ("steps: 1\nbase: 3\n", "run.yaml:2: base: names one file, relative to this one; it is 3."),
        ("", "run.yaml:1: steps: is required and was not given."),
        ("steps: 1\nnote: !secret x\n", "run.yaml:2: note: the tag '!secret' is not read."),
    ],
)
def test_broken_files_are_one_sentence(write, text, sentence):
    (line,) = mistakes(write(text))
    assert line.startswith(sentence)


def test_unreadable_files(write, tmp_path):
    write("steps: 1\n", "digits.yaml")
    assert "there is no such file. Did you mean 'digits.yaml'?" in mistakes(tmp_path / "digit.yaml")[0]
    assert "cannot be read: Is a directory" in mistakes(tmp_path)[0]
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("note: é\n".encode("latin-1"))
    assert "is not UTF-8 (byte 6). Save it as UTF-8." in mistakes(latin)[0]


def test_schema_1_is_accepted(write):
    assert load_config(Run, write("schema: 1\nsteps: 2\n")).steps == 2


def test_base_chain_is_merged_deeply_and_relative_to_each_file(write):
    write("steps: 1\noptimizer: {lr: 0.5, betas: [0.1, 0.2]}\ncoder: {name: large, bandwidth_kbps: 3}\nnote: old\n", "shared/root.yaml")
    write("base: ../shared/root.yaml\noptimizer: {lr: 0.25}\n", "train/middle.yaml")
    top = write("base: middle.yaml\nnote: null\ncoder: {rate_hz: 50}\n", "train/top.yaml")
    config = load_config(Run, top)
    assert (config.steps, config.optimizer, config.note) == (1, Optimizer(lr=0.25, betas=(0.1, 0.2)), None)
    assert config.coder == Large.Config(bandwidth_kbps=3, rate_hz=50)
    assert [path.name for path in base_chain(top)] == ["top.yaml", "middle.yaml", "root.yaml"]


def test_mistakes_in_a_base_name_its_file(write):
    write("steps: x\nnotes: 1\n", "root.yaml")
    found = mistakes(write("base: root.yaml\noptimizer: {lr: 0}\n", "top.yaml"))
    assert [line.split(": ")[0] for line in found] == ["root.yaml:1", "root.yaml:2", "top.yaml:2"]


def test_circles_and_missing_bases_are_refused(write):
    write("base: b.yaml\n", "a.yaml")
    write("base: a.yaml\n", "b.yaml")
    (line,) = mistakes(write("base: a.yaml\n", "c.yaml"))
    assert "leads in a circle: c.yaml -> a.yaml -> b.yaml -> a.yaml. Remove one `base:`." in line
    with pytest.raises(ConfigError, match="leads in a circle"):
        base_chain(write("base: d.yaml\n", "d.yaml"))
    (line,) = mistakes(write("base: c.yml\n", "e.yaml"))
    assert line.startswith("c.yml: there is no such file. Did you mean 'c.yaml'? It is the `base:` of e.yaml.")


def test_overrides():
    config = load_config(
        Run, None, ["steps=3", "optimizer.lr=1e-4", "note=", "language=no", "optimizer.betas=[0.5, 0.6]", "weights.a=1", "weights.b=2", "corpus={path: x=y}"]
    )
    assert (config.steps, config.optimizer, config.note, config.language) == (3, Optimizer(lr=1e-4, betas=(0.5, 0.6)), None, "no")
    assert config.weights == {"a": 1.0, "b": 2.0} and config.corpus.path == Path("x=y")


def test_the_last_override_wins_and_list_items_are_counted(write):
    source = write("steps: 1\nothers: [small, {name: large, bandwidth_kbps: 3}]\n")
    config = load_config(Run, source, ["steps=2", "steps=5", "others.1.rate_hz=9", "others.0.rate_hz=8"])
    assert config.steps == 5
    assert config.others == [Small.Config(rate_hz=8), Large.Config(bandwidth_kbps=3, rate_hz=9)]
    (line,) = mistakes(source, "others.2.rate_hz=1")
    assert line == "override `others.2.rate_hz`: others.2: the list `others` has the items 0 to 1, not '2'."


@pytest.mark.parametrize("override", ["steps", "=1", "a..b=1", ".=1", ""])
def test_an_override_is_key_equals_value(override):
    assert any("an override reads `key=value`" in line for line in mistakes(None, "steps=1", override))


def test_options_of_a_table_entry(write):
    assert load_config(Run, None, ["steps=1", "coder.rate_hz=9"]).coder == Small.Config(rate_hz=9)
    large = write("steps: 1\ncoder: {name: large, bandwidth_kbps: 3}\n")
    assert load_config(Run, large, ["coder.rate_hz=9"]).coder == Large.Config(bandwidth_kbps=3, rate_hz=9)
    assert load_config(Run, large, ["coder=small"]).coder == Small.Config()
    assert load_config(Run, large, ["coder.rate_hz=9", "coder.name=small"]).coder == Small.Config(rate_hz=9), "options typed before the choice count"
    assert load_config(Run, write("steps: 1\ncoder: large\n"), ["coder.bandwidth_kbps=1.5"]).coder == Large.Config(bandwidth_kbps=1.5)


@pytest.mark.parametrize("value", ["smal", "{name: smal}", "{name: smal, rate_hz: 3}"])
def test_an_unknown_entry_of_a_table_is_one_mistake_among_others(write, value):
    found = mistakes(write(f"steps: 1\ncoder: {value}\nnotes: x\n"), "coder.rate_hz=1")
    assert len(found) == 2
    assert any("There is no coder 'smal'. Did you mean 'small'?" in line for line in found) and any("notes: is not a key here" in line for line in found)


def test_a_name_outside_a_table_is_an_ordinary_key(write):
    source = write("steps: 1\ncorpus: {name: a, path: b}\n")
    assert load_config(Run, source, ["corpus.name=c"]).corpus == Corpus(name="c", path=Path("b"))


def test_the_schema_lists_every_entry_of_a_table():
    coder = Run.model_json_schema()["properties"]["coder"]["anyOf"]
    assert coder[0] == {"enum": ["small", "large"]}
    assert "bandwidth_kbps" in coder[2]["properties"]


def test_dump_loads_back_equal(write):
    config = Run(
        steps=1,
        language="no",
        note="1e-4",
        coder=Large.Config(bandwidth_kbps=1e-7),
        others=[Small.Config()],
        weights={"on": 1e30, "1": 1e-5},
        order=Order.SORTED,
    )
    text = dump_config(config)
    assert load_config(Run, write(text)) == config
    assert type(load_config(Run, write(text)).coder) is Large.Config


@settings(max_examples=60, deadline=None)
@given(
    note=st.text(),
    weights=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    language=st.sampled_from(["0o17", "0x1F", "1_0", "1:30", "~", "no", "=", "<<"]),
)
def test_dump_loads_back_equal_for_any_text(tmp_path_factory, note, weights, language):
    config = Run(steps=0, note=note, weights=weights, language=language)
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(Run, path) == config
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["language"] == language, "YAML 1.1 readers see the same text"


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}!&*?|>'\"%#,.\n \t1e~\x00é")), max_size=60))
def test_any_text_is_a_config_or_one_error(text):
    parsed = parse(text, "here")
    assert parsed.problems or parsed.value is not None or () in parsed.places
