"""The contract of every entry of the codec table, and EnCodec against transformers' own EnCodec.

A codec with random weights answers every frame with the same code, and every test would pass on it. So the encoder's last layer is scaled until its
output has unit spread on a signal, the codebooks are filled by k-means on that, and `test_codes_carry_information` says that this worked.
"""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from pipelines.codec_training.codebooks import CodebookLearner
from valle_data.codecs import CODECS
from valle_data.codecs.base import Codec
from valle_data.codecs.encodec import LEVEL_RMS, VARIANTS, Encodec, make_model
from valle_data.codecs.mini import SHIPPED_WEIGHTS, MiniCodec
from valle_data.codecs.mini.network import FRAME, MiniNetwork, MiniShape
from valle_data.codecs.mini.quantizer import ResidualQuantizer
from valle_data.errors import EnvironmentProblem, ExitCode, InputError, ReasonCode
from valle_data.records import CodecSpec


def voice(num_samples: int, sample_rate_hz: int, seed: int = 0) -> np.ndarray:
    """A gliding buzz with noise and pauses: float32 `[N]`, no two frames alike."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_samples) / sample_rate_hz
    pitch = 140 + 60 * np.sin(2 * np.pi * 0.7 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate_hz
    buzz = sum(np.sin(k * phase) / k * (1 + np.sin(2 * np.pi * (0.5 + k / 3) * time)) for k in range(1, 9))
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 2.3 * time)
    return (0.1 * loud * buzz + 0.02 * rng.normal(size=num_samples)).astype(np.float32)


def kmeans_codebooks(latents: torch.Tensor, num_levels: int, size: int = 1024) -> torch.Tensor:
    """Codebooks `[Q, V, D]` from latents `[M, D]`: a few centres each, so that every level leaves something over, and codes scattered around them."""
    quantizer = ResidualQuantizer(num_levels, 32, latents.shape[1])
    CodebookLearner(quantizer).start(latents, iterations=3)
    spread = quantizer.codebooks.std((1, 2), keepdim=True)
    books = quantizer.codebooks.repeat(1, size // 32, 1)
    return books + 0.1 * spread * torch.randn(books.shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def mini_weights(folder: Path) -> Path:
    torch.manual_seed(0)
    shape = MiniShape(encoder_width=48, encoder_depth=1, decoder_width=48, decoder_depth=1, latent_width=16, codebook_size=256)
    network = MiniNetwork(shape).eval()
    signal = torch.from_numpy(voice(24_000 * 20 // FRAME * FRAME, 24_000))[None]
    network.quantizer.codebooks.copy_(kmeans_codebooks(network.latent(signal)[0].T, 8, 256))
    path = folder / "mini.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path, metadata={"shape": json.dumps(shape.__dict__)})
    return path


@torch.no_grad()
def spread_out(last: Any, outputs: torch.Tensor) -> None:
    """Scale and shift EnCodec's last encoder convolution (or the norm behind it) so that `outputs` `[D, T]` would have zero mean and unit spread."""
    mean, spread = outputs.mean(1), outputs.std(1)
    weight, bias = (last.norm.weight, last.norm.bias) if isinstance(last.norm, torch.nn.GroupNorm) else (last.conv.weight_g, last.conv.bias)
    weight.div_(spread.view(-1, *[1] * (weight.ndim - 1)))
    bias.sub_(mean).div_(spread)


@torch.no_grad()
def encodec_weights(folder: Path, sample_rate_hz: int) -> Path:
    torch.manual_seed(1)
    model: Any = make_model(sample_rate_hz)
    seconds = 6 if sample_rate_hz == 24_000 else 3
    signal = torch.from_numpy(voice(sample_rate_hz * seconds, sample_rate_hz)).expand(1, model.channels, -1)
    signal = signal / signal.std() if model.channels > 1 else signal
    spread_out(model.encoder.model[-1].conv, model.encoder(signal)[0])
    latents = model.encoder(signal)[0].T
    for layer, book in zip(model.quantizer.vq.layers, kmeans_codebooks(latents, 8), strict=False):
        layer._codebook.embed.copy_(book)
    path = folder / f"encodec-{sample_rate_hz}.th"
    torch.save(model.state_dict(), path)
    return path


MAKERS: dict[str, dict[str, Callable[[Path], Codec]]] = {
    "mini": {"mini": lambda folder: MiniCodec(MiniCodec.Config(weights=mini_weights(folder)))},
    "encodec": {
        "encodec-24khz": lambda folder: Encodec(Encodec.Config(weights=encodec_weights(folder, 24_000))),
        "encodec-48khz": lambda folder: Encodec(Encodec.Config(sample_rate_hz=48_000, bandwidth_kbps=12, weights=encodec_weights(folder, 48_000))),
    },
}
if SHIPPED_WEIGHTS.exists():
    MAKERS["mini"]["mini-shipped"] = lambda folder: MiniCodec()
CASES = {case: maker for makers in MAKERS.values() for case, maker in makers.items()}


@pytest.fixture(scope="module", params=CASES)
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return CASES[request.param](tmp_path_factory.mktemp("weights"))


def hop(codec: Codec) -> int:
    return round(codec.spec.sample_rate_hz / codec.spec.frame_rate_hz)


def signal(codec: Codec, seconds: float, seed: int = 3) -> np.ndarray:
    return voice(round(seconds * codec.spec.sample_rate_hz), codec.spec.sample_rate_hz, seed)


def test_every_entry_of_the_table_is_tried():
    entries = {name for name, target in CODECS._entries.items() if not target.startswith("tests.")}
    assert set(MAKERS) == entries


def test_the_spec_is_sane_and_survives_json(codec: Codec):
    spec = codec.spec
    assert spec.name in CODECS and len(spec.weights_hash) == 64
    assert spec.sample_rate_hz / spec.frame_rate_hz == hop(codec)
    assert spec.num_levels >= 1 and 2 <= spec.codebook_size <= 65_536
    assert CodecSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize("frames", [0, 1 / 10_000, 0.999, 1, 1.001, 7, 40.5])
def test_lengths(codec: Codec, frames: float):
    num_samples = math.ceil(frames * hop(codec))
    waveform = voice(num_samples, codec.spec.sample_rate_hz)
    (codes,) = codec.encode([waveform])
    assert codes.dtype == np.uint16
    assert codes.shape == (codec.spec.num_levels, math.ceil(num_samples * codec.spec.frame_rate_hz / codec.spec.sample_rate_hz))
    decoded = codec.decode(codes)
    assert decoded.dtype == np.float32 and decoded.shape == (codes.shape[1] * hop(codec),)
    assert np.isfinite(decoded).all()


def test_codes_carry_information(codec: Codec):
    (codes,) = codec.encode([signal(codec, 3)])
    assert (codes < codec.spec.codebook_size).all()
    assert min(len(np.unique(level)) for level in codes) >= 2
    assert len(np.unique(codes, axis=1).T) > 0.8 * codes.shape[1]
    other = codec.encode([signal(codec, 3, seed=9)])[0]
    assert np.abs(codec.decode(codes) - codec.decode(other)).max() > 1e-4


def test_batch_equals_single(codec: Codec):
    waveforms = [signal(codec, seconds, seed) for seed, seconds in enumerate((0.31, 1.0, 0, 0.87))]
    for alone, together in zip([codec.encode([w])[0] for w in waveforms], codec.encode(waveforms), strict=True):
        np.testing.assert_array_equal(alone, together)
    assert codec.encode([]) == []


def test_the_same_waveform_always_gives_the_same_codes_and_sound(codec: Codec):
    waveform = signal(codec, 0.7)
    kept = waveform.copy()
    first, second = codec.encode([waveform, waveform])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(waveform, kept)
    np.testing.assert_array_equal(codec.decode(first), codec.decode(second))


def test_fewer_levels_decode_and_sound_different(codec: Codec):
    (codes,) = codec.encode([signal(codec, 0.7)])
    whole, coarse = codec.decode(codes), codec.decode(codes[:1])
    assert coarse.shape == whole.shape
    assert np.abs(whole - coarse).max() > 1e-5


def test_a_code_out_of_range_is_refused(codec: Codec):
    codes = np.zeros((codec.spec.num_levels, 3), dtype=np.uint16)
    codes[-1, 1] = codec.spec.codebook_size
    with pytest.raises(InputError, match=f"code_out_of_range: Code {codec.spec.codebook_size} is not below the codebook size") as caught:
        codec.decode(codes)
    assert caught.value.reason == ReasonCode.CODE_OUT_OF_RANGE


@pytest.mark.parametrize("shape", [(0, 3), (33, 3), (4,), (1, 4, 4)])
def test_a_wrong_number_of_levels_is_refused(codec: Codec, shape: tuple[int, ...]):
    with pytest.raises(InputError, match=rf"at most {codec.spec.num_levels} levels; these have shape") as caught:
        codec.decode(np.zeros(shape, dtype=np.uint16))
    assert caught.value.reason == ReasonCode.DATASET_MISMATCH


def test_codes_of_two_codecs_are_told_apart_by_their_specs(codec: Codec, tmp_path: Path):
    """The same file is the same codec wherever it lies; other weights of the same shape are another."""
    path = mini_weights(tmp_path)
    one = MiniCodec(MiniCodec.Config(weights=path))
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(path.read_bytes())
    assert MiniCodec(MiniCodec.Config(weights=copied)).spec == one.spec
    tensors = {name: tensor * 1.001 for name, tensor in one.network.state_dict().items()}
    save_file(tensors, copied, metadata={"shape": json.dumps(one.network.shape.__dict__)})
    changed = MiniCodec(MiniCodec.Config(weights=copied)).spec
    assert changed != one.spec and codec.spec != changed


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
    with pytest.raises(EnvironmentProblem, match=r"There is no weights file '.*none\.th'"):
        Encodec(Encodec.Config(weights=tmp_path / "none.th"))


def test_encodec_finds_the_published_file_in_torchs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(make_model(24_000).state_dict(), cache / VARIANTS[24_000].file)
    assert Encodec().spec.weights_hash == hashlib.sha256((cache / VARIANTS[24_000].file).read_bytes()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 not a zip"])
def test_encodec_refuses_what_is_no_weights_file(tmp_path: Path, content: bytes):
    for name in ("bad.th", "bad.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="is damaged or no file of tensors"):
            Encodec(Encodec.Config(weights=tmp_path / name))


def test_encodec_refuses_the_weights_of_the_other_model_and_a_pickle(tmp_path: Path):
    torch.save(make_model(48_000).state_dict(), tmp_path / "48.th")
    with pytest.raises(InputError, match=r"does not hold the weights of EnCodec at 24000 Hz\. Use 'encodec_24khz-d7cc33bc\.th'"):
        Encodec(Encodec.Config(weights=tmp_path / "48.th"))
    torch.save({"run": Path("/tmp")}, tmp_path / "pickle.th")
    with pytest.raises(InputError, match="no file of tensors"):
        Encodec(Encodec.Config(weights=tmp_path / "pickle.th"))


def test_encodec_reads_the_same_tensors_from_safetensors(tmp_path: Path):
    path = encodec_weights(tmp_path, 24_000)
    save_file({name: tensor.contiguous().clone() for name, tensor in torch.load(path, weights_only=True).items()}, tmp_path / "same.safetensors")
    one, two = (Encodec(Encodec.Config(weights=file)) for file in (path, tmp_path / "same.safetensors"))
    np.testing.assert_array_equal(one.encode([signal(one, 0.4)])[0], two.encode([signal(two, 0.4)])[0])
    assert one.spec != two.spec


def test_encodec_at_48_khz_keeps_loudness_inside_an_utterance_only(tmp_path: Path):
    """Twice as loud gives the same codes; the sound comes back at the nominal level."""
    codec = Encodec(Encodec.Config(sample_rate_hz=48_000, bandwidth_kbps=6, weights=encodec_weights(tmp_path, 48_000)))
    waveform = signal(codec, 1.7)
    soft, loud = codec.encode([waveform, waveform * 2])
    assert (soft == loud).mean() > 0.99
    model = make_model(48_000)
    model.load_state_dict(torch.load(tmp_path / "encodec-48000.th", weights_only=True))
    with torch.inference_mode():
        reference = model.decode([(torch.from_numpy(soft.astype(np.int64))[None], None)])[0].mean(0).numpy()
    np.testing.assert_allclose(codec.decode(soft), np.clip(reference * LEVEL_RMS, -1, 1), atol=1e-6)


@torch.no_grad()
def copy_to_transformers(source: Any, target: Any) -> None:
    """Both networks hold the same layers in the same order."""
    kinds = (torch.nn.Conv1d, torch.nn.ConvTranspose1d, torch.nn.LSTM)
    pairs = zip(*([m for m in network.modules() if isinstance(m, kinds)] for network in (source, target)), strict=True)
    for ours, theirs in pairs:
        if isinstance(ours, torch.nn.LSTM):
            theirs.load_state_dict(ours.state_dict())
        else:
            theirs.weight = ours.weight_v * (ours.weight_g / ours.weight_v.norm(dim=(1, 2), keepdim=True))
            theirs.bias.copy_(ours.bias)


@pytest.mark.parametrize("bandwidth", [1.5, 6.0])
def test_encodec_equals_the_one_of_transformers(tmp_path: Path, bandwidth: float):
    from transformers import EncodecConfig, EncodecModel

    path = encodec_weights(tmp_path, 24_000)
    codec = Encodec(Encodec.Config(weights=path, bandwidth_kbps=bandwidth))
    reference: Any = EncodecModel(EncodecConfig()).eval()
    network: Any = codec.model
    copy_to_transformers(network.encoder, reference.encoder)
    copy_to_transformers(network.decoder, reference.decoder)
    for ours, theirs in zip(network.quantizer.vq.layers, reference.quantizer.layers, strict=True):
        theirs.codebook.embed.copy_(ours._codebook.embed)
    waveform = signal(codec, 1)
    with torch.no_grad():
        expected = reference.encode(torch.from_numpy(waveform)[None, None], bandwidth=bandwidth, return_dict=True)
        sound = reference.decode(expected.audio_codes, [None], return_dict=True).audio_values[0, 0]
    (codes,) = codec.encode([waveform])
    assert (codes == expected.audio_codes[0, 0].numpy()).mean() > 0.999
    np.testing.assert_allclose(codec.decode(expected.audio_codes[0, 0].numpy().astype(np.uint16)), sound.clamp(-1, 1).numpy(), atol=1e-5)
