"""The contract of every entry of the codec table, on the real classes; how their weights are made: tests/codec_dummies.py."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.codec_dummies import CASES, MAKERS, encodec_weights, mini_weights, vocos_weights, voice
from valle_data.codecs import CODECS
from valle_data.codecs.base import Codec
from valle_data.codecs.encodec import Encodec
from valle_data.codecs.mini import MiniCodec
from valle_data.codecs.opened import open_codec
from valle_data.codecs.torch_codec import TorchCodec
from valle_data.codecs.vocos import VocosCodec
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode, UsageError
from valle_data.records import CodecSpec


@pytest.fixture(scope="module", params=CASES)
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return CASES[request.param](tmp_path_factory.mktemp("weights"))


def signal(codec: Codec, seconds: float, seed: int = 3) -> np.ndarray:
    return voice(round(seconds * codec.spec.sample_rate_hz), codec.spec.sample_rate_hz, seed)


def in_one_pass(codec: Any, monkeypatch: pytest.MonkeyPatch, frames: int = 10**9) -> None:
    """Let windows, blocks and pieces hold `frames`."""
    for name in ("window_frames", "block_frames", "piece_frames"):
        for target in (codec, getattr(codec, "encodec", None)):
            if hasattr(target, name):
                monkeypatch.setattr(target, name, frames)


def test_every_entry_of_the_table_is_tried():
    entries = {name for name, target in CODECS._entries.items() if not target.startswith("tests.")}
    assert set(MAKERS) == entries


def test_the_spec_is_sane_and_survives_json(codec: Codec):
    spec = codec.spec
    assert spec.name in CODECS and len(spec.weights_hash) == 64
    assert spec.sample_rate_hz / spec.frame_rate_hz == pytest.approx(codec.hop, rel=1e-12)
    assert spec.num_levels >= 1 and 2 <= spec.codebook_size <= 65_536
    assert CodecSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize("frames", [0, 1 / 10_000, 0.999, 1, 1.001, 7, 40.5])
def test_lengths(codec: Codec, frames: float):
    num_samples = math.ceil(frames * codec.hop)
    waveform = voice(num_samples, codec.spec.sample_rate_hz)
    (codes,) = codec.encode([waveform])
    assert codes.dtype == np.uint16
    assert codes.shape == (codec.spec.num_levels, math.ceil(num_samples / codec.hop))
    assert codes.shape[1] == math.ceil(num_samples * codec.spec.frame_rate_hz / codec.spec.sample_rate_hz - 1e-9)
    decoded = codec.decode(codes)
    assert decoded.dtype == np.float32 and decoded.shape == (codes.shape[1] * codec.hop,)
    assert np.isfinite(decoded).all() and np.abs(decoded).max(initial=0) <= 4


def test_codes_carry_information(codec: Codec):
    (codes,) = codec.encode([signal(codec, 1.5)])
    assert (codes < codec.spec.codebook_size).all()
    assert min(len(np.unique(level)) for level in codes) >= 2
    assert len(np.unique(codes, axis=1).T) > 0.8 * codes.shape[1]
    other = codec.encode([signal(codec, 1.5, seed=9)])[0]
    assert np.abs(codec.decode(codes) - codec.decode(other)).max() > 1e-4


def assert_same_but_for_ties(one: np.ndarray, other: np.ndarray) -> None:
    """In another batch or window floats round otherwise: where two codes are as close to 1e-6, the other is taken, and the levels below follow."""
    assert one.shape == other.shape
    assert (one == other).mean() > 0.99


@pytest.mark.parametrize("batch_size", [1, 5])
def test_batch_equals_single(codec: Codec, batch_size: int, monkeypatch: pytest.MonkeyPatch):
    """T17, with tiny waveforms, several of one length, and loud beside soft ones. With `batch_size` 1, the default, every code is equal.

    Zeros behind a waveform that a network could hear would change far more than the hundredth allowed for ties.
    """
    hop = codec.hop
    lengths = [
        0,
        1,
        2,
        hop - 1,
        hop,
        hop + 1,
        6 * hop,
        6 * hop + 1,
        7 * hop,
        *(hop * frames + 17 * frames for frames in range(3, 17)),
        *[8 * hop] * 7,
        20 * hop,
    ]
    waveforms = [voice(length, codec.spec.sample_rate_hz, seed) * (1 + seed % 3) for seed, length in enumerate(lengths)]
    assert len(waveforms) > 30
    alone = [codec.encode([waveform])[0] for waveform in waveforms]
    for target in (codec, getattr(codec, "encodec", codec)):
        monkeypatch.setattr(target, "batch_size", batch_size)
    together = codec.encode(waveforms)
    assert [codes.shape for codes in together] == [codes.shape for codes in alone]
    compare = np.testing.assert_array_equal if batch_size == 1 else assert_same_but_for_ties
    compare(np.concatenate(together, axis=1), np.concatenate(alone, axis=1))
    assert codec.encode([]) == []


def test_the_same_waveform_always_gives_the_same_codes_and_sound(codec: Codec):
    waveform = signal(codec, 0.7)
    kept = waveform.copy()
    first, second = codec.encode([waveform, waveform])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(waveform, kept)
    np.testing.assert_array_equal(codec.decode(first), codec.decode(second))


@pytest.mark.parametrize("levels", [1, 2])
def test_fewer_levels_decode_and_sound_different(codec: Codec, levels: int):
    (codes,) = codec.encode([signal(codec, 0.7)])
    whole, coarse = codec.decode(codes), codec.decode(codes[:levels])
    assert coarse.shape == whole.shape
    assert np.abs(whole - coarse).max() > 1e-5


def test_long_audio_gives_the_codes_and_the_sound_of_one_pass(codec: Any, monkeypatch: pytest.MonkeyPatch):
    """Windows of 30 frames over 130, the last of them short, against all at once. What normalises over time (EnCodec at 48 kHz) has pieces instead."""
    waveform = voice(130 * codec.hop - 5, codec.spec.sample_rate_hz)
    in_one_pass(codec, monkeypatch)
    (codes,) = codec.encode([waveform])
    sound = codec.decode(codes)
    in_one_pass(codec, monkeypatch, 30)
    (windowed,) = codec.encode([waveform])
    assert windowed.shape == codes.shape
    if codec.lookahead_samples is None:
        edges = [130 * index // 5 for index in range(6)]
        pieces = [waveform[first * codec.hop : last * codec.hop] for first, last in pairwise(edges)]
        np.testing.assert_array_equal(windowed, np.concatenate(codec.encode(pieces), axis=1))
        return
    assert_same_but_for_ties(windowed, codes)
    np.testing.assert_allclose(codec.decode(codes), sound, atol=2e-4 * np.abs(sound).max())


def test_memory_does_not_grow_with_the_length(codec: Any, monkeypatch: pytest.MonkeyPatch):
    """The largest tensor any convolution sees is the same for eight windows as for four."""
    in_one_pass(codec, monkeypatch, 20)
    networks = [getattr(owner, name) for owner in (codec, getattr(codec, "encodec", None)) for name in ("model", "network") if hasattr(owner, name)]
    sizes: list[int] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].numel()))
        for network in networks
        for module in network.modules()
        if isinstance(module, torch.nn.Conv1d)
    ]
    largest = []
    for frames in (80, 160):
        sizes.clear()
        codec.decode(codec.encode([voice(frames * codec.hop, codec.spec.sample_rate_hz)])[0])
        largest.append(max(sizes))
    for hook in hooks:
        hook.remove()
    assert largest[0] == largest[1]


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


def test_a_waveform_that_is_not_mono_or_not_finite_is_refused(codec: Codec):
    with pytest.raises(InputError, match=r"mono waveforms \[N\]; this one has shape \[2, 9\]"):
        codec.encode([np.zeros((2, 9), dtype=np.float32)])
    broken = signal(codec, 0.3)
    broken[[17, 20]] = np.nan, np.inf
    with pytest.raises(InputError, match="non_finite_audio: Sample 17 is not finite"):
        codec.encode([broken])


def test_codes_of_two_codecs_are_told_apart_by_their_specs(codec: Codec, tmp_path: Path):
    """The same file is the same codec wherever it lies; other weights of the same shape are another."""
    path = mini_weights(tmp_path)
    one = MiniCodec(MiniCodec.Config(weights=path))
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(path.read_bytes())
    assert MiniCodec(MiniCodec.Config(weights=copied)).spec == one.spec
    assert codec.spec != one.spec or codec.spec.weights_hash == one.spec.weights_hash


def test_a_device_that_is_not_there_is_refused(codec: Any):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(EnvironmentProblem, match=r"`device` is 'cuda', but torch finds no CUDA device here\..* set `codec.device=cpu` for the whole data set"):
        type(codec)(type(codec).Config(device="cuda"))


def test_running_out_of_memory_halves_the_batch_down_to_one_utterance(codec: Any, monkeypatch: pytest.MonkeyPatch):
    """The device holds two utterances at once; then none, and only then the failure reaches the caller."""
    waveforms = [signal(codec, 0.4, seed) for seed in range(5)]
    expected = codec.encode(waveforms)
    owner = getattr(codec, "encodec", codec)
    monkeypatch.setattr(owner, "batch_size", 5)
    real, tried, room = owner._encode, [], [2]

    def encode(batch: torch.Tensor) -> torch.Tensor:
        tried.append(len(batch))
        if len(batch) > room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return real(batch)

    monkeypatch.setattr(owner, "_encode", encode)
    assert_same_but_for_ties(np.concatenate(codec.encode(waveforms), axis=1), np.concatenate(expected, axis=1))
    assert tried == [5, 2, 3, 1, 2]
    tried.clear()
    room[0] = 0
    with pytest.raises(torch.OutOfMemoryError):
        codec.encode(waveforms)
    assert tried == [5, 2, 1]
    assert isinstance(owner, TorchCodec)


# ---- the codec that belongs to codes which exist already


def test_open_codec_finds_the_codec_of_stored_codes(tmp_path: Path):
    """The device of the preparation is none of this machine's business; weights that changed are."""
    path = mini_weights(tmp_path)
    config = MiniCodec.Config(weights=path)
    spec = MiniCodec(config).spec
    stored = {**config.model_dump(mode="json"), "device": "cuda"}
    assert open_codec(spec, stored).spec == spec
    assert open_codec(MiniCodec().spec, {"name": "mini"}).spec.name == "mini"
    other = replace(spec, weights_hash="0" * 64)
    with pytest.raises(
        InputError, match=r"dataset_mismatch: The codes were written by mini .*weights 000000000000; the codec 'mini' here is mini .*Use that codec"
    ):
        open_codec(other, stored)
    with pytest.raises(UsageError, match="There is no codec 'mimo'"):
        open_codec(spec, {"name": "mimo"})


def test_vocos_decodes_what_encodec_wrote_and_the_other_way_round(tmp_path: Path):
    path = encodec_weights(tmp_path, 24_000, num_levels=16)
    encodec = Encodec.Config(weights=path, bandwidth_kbps=3)
    vocos = VocosCodec.Config(weights=vocos_weights(tmp_path, path), encodec_weights=path, bandwidth_kbps=3)
    prepared = Encodec(encodec)
    spoken = open_codec(prepared.spec, encodec.model_dump(mode="json"), instead=vocos)
    assert isinstance(spoken, VocosCodec) and spoken.spec == prepared.spec
    (codes,) = prepared.encode([signal(prepared, 0.5)])
    np.testing.assert_array_equal(spoken.encode([signal(prepared, 0.5)])[0], codes)
    assert spoken.decode(codes).shape == prepared.decode(codes).shape
    assert np.abs(spoken.decode(codes) - prepared.decode(codes)).max() > 1e-3
    assert open_codec(spoken.spec, vocos.model_dump(mode="json"), instead=encodec).spec == spoken.spec
    with pytest.raises(InputError, match=r"written by encodec 24000 Hz, 4 levels .* the codec 'vocos' here is encodec 24000 Hz, 8 levels"):
        open_codec(prepared.spec, {}, instead=vocos.model_copy(update={"bandwidth_kbps": 6.0}))
