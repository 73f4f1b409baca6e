"""Weights files of codecs: found, read without running them, refused with a sentence where they do not fit."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from tests.codec_dummies import dac_shape, dac_weights, encodec_weights, mimi_weights, vocos_weights, voice
from valle_data.codecs.dac import VARIANTS as DAC_VARIANTS
from valle_data.codecs.dac import Dac
from valle_data.codecs.dac import make_model as make_dac
from valle_data.codecs.encodec import LEVEL_RMS, VARIANTS, Encodec, make_model
from valle_data.codecs.mimi import Mimi
from valle_data.codecs.mini import MiniCodec
from valle_data.codecs.vocos import CODEBOOKS, VocosCodec, VocosNetwork
from valle_data.errors import EnvironmentProblem, ExitCode, InputError, ReasonCode


class RunsWhenRead:
    """Unpickled, this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


READERS: dict[str, Callable[[Path], Any]] = {
    "encodec": lambda path: Encodec(Encodec.Config(weights=path)),
    "dac": lambda path: Dac(Dac.Config(weights=path)),
    "vocos": lambda path: VocosCodec(VocosCodec.Config(weights=path, encodec_weights=path.parent / "encodec.th")),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.save(make_model(24_000).state_dict(), tmp_path / "encodec.th")
    return tmp_path


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 not a zip"])
def test_what_is_no_weights_file_is_refused(folder: Path, name: str, content: bytes):
    for file in ("bad.th", "bad.safetensors"):
        (folder / file).write_bytes(content)
        with pytest.raises(InputError, match=r"checkpoint_mismatch: .* is damaged or no file of tensors .*; it was not run\. Download it again, or"):
            READERS[name](folder / file)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"state_dict": {}, "metadata": {"kwargs": {"sample_rate": bomb}}}])
def test_a_pickle_that_would_run_something_is_refused_unread(folder: Path, name: str, wrap: Callable[[Any], Any]):
    torch.save(wrap(RunsWhenRead(folder / "ran")), folder / "bomb.pth")
    with pytest.raises(InputError, match=r"no file of tensors \(UnpicklingError\); it was not run\. .*safetensors\.torch\.save_file"):
        READERS[name](folder / "bomb.pth")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_is_an_environment_problem(folder: Path, name: str):
    with pytest.raises(EnvironmentProblem, match=rf"There is no weights file '.*none\.th' for the codec '{name}'\. Correct `weights`") as caught:
        READERS[name](folder / "none.th")
    assert caught.value.exit_code == ExitCode.ENVIRONMENT


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("encodec", r"does not hold the weights of EnCodec at 24000 Hz\. Use 'encodec_24khz-d7cc33bc\.th' or its state dict\."),
        ("dac", r"does not hold the weights of DAC at 24000 Hz\. Use 'weights_24khz\.pth' of its release 0\.0\.4\."),
        ("vocos", r"does not hold the weights of Vocos for EnCodec\. Use 'pytorch_model\.bin' of charactr/vocos-encodec-24khz\."),
    ],
)
def test_tensors_of_another_model_are_refused(folder: Path, name: str, sentence: str):
    torch.save(make_model(48_000).state_dict(), folder / "other.th")
    with pytest.raises(InputError, match=sentence) as caught:
        READERS[name](folder / "other.th")
    assert caught.value.reason == ReasonCode.CHECKPOINT_MISMATCH


# ---- EnCodec


@pytest.mark.parametrize(("sample_rate_hz", "bandwidth", "levels"), [(rate, kbps, n) for rate, v in VARIANTS.items() for kbps, n in v.levels.items()])
def test_encodec_levels_follow_from_the_bandwidth(sample_rate_hz: int, bandwidth: float, levels: int):
    """The package computes the number of levels from the bandwidth by itself."""
    model = make_model(sample_rate_hz)
    assert model.quantizer.get_num_quantizers_for_bandwidth(model.frame_rate, bandwidth) == levels
    assert model.frame_rate == sample_rate_hz / 320 and model.quantizer.bins == 1024


def test_encodec_refuses_a_bandwidth_it_does_not_offer():
    with pytest.raises(ValidationError, match=r"EnCodec at 48000 Hz offers bandwidth_kbps 3, 6, 12, 24, not 1\.5"):
        Encodec.Config(sample_rate_hz=48_000, bandwidth_kbps=1.5)


def test_encodec_without_weights_says_where_to_put_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("valle_data.codecs.encodec.ROOT_URL", "http://127.0.0.1:9/")
    with pytest.raises(EnvironmentProblem, match=r"Copy that file to '.*checkpoints/encodec_24khz-d7cc33bc\.th', or name it as `codec.weights`") as caught:
        Encodec()
    assert caught.value.exit_code == ExitCode.ENVIRONMENT


def test_encodec_finds_the_published_file_in_torchs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(make_model(24_000).state_dict(), cache / VARIANTS[24_000].file)
    assert Encodec().spec.weights_hash == hashlib.sha256((cache / VARIANTS[24_000].file).read_bytes()).hexdigest()


def test_encodec_reads_the_same_tensors_from_safetensors(tmp_path: Path):
    path = encodec_weights(tmp_path, 24_000)
    save_file({name: tensor.contiguous().clone() for name, tensor in torch.load(path, weights_only=True).items()}, tmp_path / "same.safetensors")
    one, two = (Encodec(Encodec.Config(weights=file)) for file in (path, tmp_path / "same.safetensors"))
    np.testing.assert_array_equal(one.encode([voice(9600, 24_000)])[0], two.encode([voice(9600, 24_000)])[0])
    assert one.spec != two.spec


def test_encodec_at_48_khz_keeps_loudness_inside_an_utterance_only(tmp_path: Path):
    """Twice as loud gives the same codes; the sound comes back at the nominal level."""
    codec = Encodec(Encodec.Config(sample_rate_hz=48_000, bandwidth_kbps=6, weights=encodec_weights(tmp_path, 48_000)))
    waveform = voice(81_600, 48_000)
    soft, loud = codec.encode([waveform, waveform * 2])
    assert (soft == loud).mean() > 0.99
    model = make_model(48_000)
    model.load_state_dict(torch.load(tmp_path / "encodec-48000.th", weights_only=True))
    with torch.inference_mode():
        reference = model.decode([(torch.from_numpy(soft.astype(np.int64))[None], None)])[0].mean(0).numpy()
    np.testing.assert_allclose(codec.decode(soft), np.clip(reference * LEVEL_RMS, -1, 1), atol=1e-6)


# ---- DAC


def test_dac_refuses_weights_of_another_rate(tmp_path: Path):
    path = dac_weights(tmp_path, 44_100)
    with pytest.raises(
        InputError, match=r"holds DAC at 44100 Hz, the configuration says 24000 Hz\. Set `codec\.sample_rate_hz=44100`, or use 'weights_24khz\.pth'"
    ):
        Dac(Dac.Config(sample_rate_hz=24_000, weights=path))


def test_dac_uses_as_many_levels_as_asked_and_no_more_than_there_are(tmp_path: Path):
    path = dac_weights(tmp_path, 16_000)
    few, every = (Dac(Dac.Config(sample_rate_hz=16_000, weights=path, num_levels=levels)) for levels in (3, None))
    assert (few.spec.num_levels, every.spec.num_levels) == (3, 12)
    waveform = voice(16_000, 16_000)
    np.testing.assert_array_equal(few.encode([waveform])[0], every.encode([waveform])[0][:3])
    with pytest.raises(InputError, match=r"The codec 'dac' with these weights has 12 levels, `codec\.num_levels` asks for 13\. Ask for 12 or fewer\."):
        Dac(Dac.Config(sample_rate_hz=16_000, weights=path, num_levels=13))


def test_dac_reads_the_same_tensors_from_safetensors(tmp_path: Path):
    path = dac_weights(tmp_path, 24_000)
    content = torch.load(path, weights_only=False)
    header = {"kwargs": json.dumps(content["metadata"]["kwargs"])}
    save_file({name: tensor.contiguous() for name, tensor in content["state_dict"].items()}, tmp_path / "same.safetensors", metadata=header)
    one, two = (Dac(Dac.Config(weights=file)) for file in (path, tmp_path / "same.safetensors"))
    np.testing.assert_array_equal(one.encode([voice(9600, 24_000)])[0], two.encode([voice(9600, 24_000)])[0])


def test_dac_of_published_size_needs_no_options_in_its_file(tmp_path: Path):
    """A bare state dict: the options are those published at its rate."""
    shape = dac_shape(24_000, encoder_dim=64, latent_dim=None, decoder_dim=1536)
    model = make_dac(shape)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, tmp_path / "bare.safetensors")
    assert Dac(Dac.Config(weights=tmp_path / "bare.safetensors", num_levels=2)).model.latent_dim == 1024


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("sample_rate", 1, "sample_rate: Input should be greater than or equal to 8000"),
        ("n_codebooks", "many", "n_codebooks"),
        ("decoder_rates", [2], "lengths"),
    ],
)
def test_dac_refuses_impossible_options(tmp_path: Path, option: str, value: Any, said: str):
    content = torch.load(dac_weights(tmp_path, 24_000), weights_only=False)
    content["metadata"]["kwargs"][option] = value
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(InputError, match=rf"names impossible options of DAC \(.*{said}.*Download it again"):
        Dac(Dac.Config(weights=tmp_path / "odd.pth"))


def test_dac_offers_its_high_bitrate_at_44_khz_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(ValidationError, match="DAC at 16000 Hz offers bitrate_kbps 8, not 16"):
        Dac.Config(sample_rate_hz=16_000, bitrate_kbps=16)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("valle_data.codecs.dac.ROOT_URL", "http://127.0.0.1:9/")
    with pytest.raises(EnvironmentProblem, match=r"Copy that file to '.*\.cache/descript/dac/weights_44khz_16kbps_1\.0\.0\.pth', or name it"):
        Dac(Dac.Config(sample_rate_hz=44_100, bitrate_kbps=16))


def test_dac_finds_the_file_that_its_package_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for (rate, _), variant in DAC_VARIANTS.items():
        if rate == 16_000:
            (tmp_path / ".cache/descript/dac").mkdir(parents=True)
            dac_weights(tmp_path, 16_000).rename(tmp_path / ".cache/descript/dac" / variant.cached_as)
    assert Dac(Dac.Config(sample_rate_hz=16_000)).spec.num_levels == 12


# ---- Vocos


def test_vocos_refuses_codebooks_of_another_encodec(folder: Path):
    other = encodec_weights(folder, 24_000, num_levels=16)
    path = vocos_weights(folder, other)
    with pytest.raises(InputError, match=r"trained on other codebooks than those of encodec 24000 Hz, 8 levels .*: it would decode noise\. Use the EnCodec"):
        READERS["vocos"](path)


def test_vocos_reads_files_with_encodecs_own_tensors_in_them(folder: Path):
    """As `Vocos.state_dict()` of the package has them."""
    encodec = torch.load(folder / "encodec.th", weights_only=True)
    books = torch.cat([encodec[f"quantizer.vq.layers.{level}._codebook.embed"] for level in range(16)])
    extra = {f"feature_extractor.encodec.{name}": tensor for name, tensor in encodec.items()}
    torch.save({**VocosNetwork().state_dict(), CODEBOOKS: books, **extra}, folder / "all.bin")
    assert READERS["vocos"](folder / "all.bin").spec.num_levels == 8


def no_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))


def test_vocos_and_mimi_without_a_network_say_what_to_do(monkeypatch: pytest.MonkeyPatch, folder: Path):
    no_hub(monkeypatch, folder / "hub")
    asked = r"not in the Hugging Face cache and could not be downloaded .*Run `hf download {}` on a machine with a network"
    with pytest.raises(EnvironmentProblem, match=asked.format("charactr/vocos-encodec-24khz")):
        VocosCodec(VocosCodec.Config(encodec_weights=folder / "encodec.th"))
    with pytest.raises(EnvironmentProblem, match=asked.format("kyutai/mimi")):
        Mimi()


# ---- Mimi


def test_mimi_finds_its_files_in_the_hubs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    no_hub(monkeypatch, tmp_path / "hub")
    repository = tmp_path / "hub/models--kyutai--mimi"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    expected = Mimi(Mimi.Config(weights=mimi_weights(tmp_path))).spec
    (tmp_path / "mimi").rename(repository / "snapshots" / ("0" * 40))
    assert Mimi().spec == expected


def test_mimi_uses_as_many_levels_as_asked_and_no_more_than_there_are(tmp_path: Path):
    folder = mimi_weights(tmp_path)
    few, every = (Mimi(Mimi.Config(weights=folder, num_levels=levels)) for levels in (1, None))
    assert (few.spec.num_levels, every.spec.num_levels) == (1, 12)
    waveform = voice(24_000, 24_000)
    np.testing.assert_array_equal(few.encode([waveform])[0], every.encode([waveform])[0][:1])
    with pytest.raises(InputError, match=r"The codec 'mimi' with these weights has 12 levels, `codec\.num_levels` asks for 32"):
        Mimi(Mimi.Config(weights=folder, num_levels=32))


def test_mimi_refuses_folders_that_hold_something_else(tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match=r"a folder with config\.json and model\.safetensors; '.*' has no config\.json"):
        Mimi(Mimi.Config(weights=tmp_path))
    folder = mimi_weights(tmp_path)
    tensors = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(tensors[:5000])
    with pytest.raises(InputError, match="does not hold the weights of Mimi"):
        Mimi(Mimi.Config(weights=folder))
    save_file({"nothing": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"tensors such as '.*' are missing or of another shape\. Use those of kyutai/mimi"):
        Mimi(Mimi.Config(weights=folder))
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(EnvironmentProblem, match=r"has no model\.safetensors"):
        Mimi(Mimi.Config(weights=folder))


@pytest.mark.parametrize("changes", [{"sampling_rate": 16_000}, {"use_causal_conv": False}])
def test_mimi_refuses_another_rate_and_a_network_that_looks_ahead(tmp_path: Path, changes: dict[str, Any]):
    with pytest.raises(InputError, match=r"The codec 'mimi' is causal at 24000 Hz; '.*' is at .* Hz with use_causal_conv=.*\. Use the weights of kyutai/mimi"):
        Mimi(Mimi.Config(weights=mimi_weights(tmp_path, **changes)))


# ---- mini


def test_mini_refuses_what_is_no_weights_file(tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match=r"The weights of the mini codec are not at .*none\.safetensors\. Correct `codec\.weights`"):
        MiniCodec(MiniCodec.Config(weights=tmp_path / "none.safetensors"))
    save_file({"nothing": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="does not hold weights of the mini codec"):
        MiniCodec(MiniCodec.Config(weights=tmp_path / "other.safetensors"))
