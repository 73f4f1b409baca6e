"""Speaker vectors: real encoders on recordings of four voices; the others with random weights in their true classes."""

import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

from tests.data.recordings import VOICES, digit_recordings, recordings_of
from tests.data.stage_examples import TOOLS, speech_like, work_of
from valle_data import registry
from valle_data.errors import EnvironmentProblem, UsageError
from valle_data.sound import Sound
from valle_data.speaker_encoders import SPEAKER_ENCODERS
from valle_data.speaker_encoders.base import SpeakerEncoder, unit
from valle_data.speaker_encoders.resemblyzer import Resemblyzer, voiced_part
from valle_data.speaker_encoders.wavlm import Wavlm
from valle_data.stages.base import Work
from valle_data.stages.speaker import SpeakerStage

MIN_SAMPLES = 8000


@pytest.fixture(scope="module")
def stage() -> SpeakerStage:
    return SpeakerStage(SpeakerStage.Config(), TOOLS)


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true architecture, small, with random weights."""
    folder = tmp_path_factory.mktemp("wavlm")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "xvector_output_dim": 24}
    config = WavLMConfig(**sizes, conv_dim=(16,) * 7, tdnn_dim=(16,) * 5, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=16000, do_normalize=True).save_pretrained(folder)
    return folder


def vectors(stage: SpeakerStage, works: list[Work]) -> list[np.ndarray | None]:
    done = stage.process(works)
    assert all(isinstance(work, Work) for work in done)
    return [work.vectors.get("speaker") for work in done if isinstance(work, Work)]


def test_voices_are_told_apart(stage: SpeakerStage) -> None:
    """Five recordings of each of four voices: each is nearest to one of its own voice."""
    found = vectors(stage, [work_of(sound.samples, sound.sample_rate_hz) for sound in digit_recordings(5)])
    stacked = np.stack([vector for vector in found if vector is not None])
    assert stacked.shape == (20, 256) and stacked.dtype == np.float32 and np.allclose(np.linalg.norm(stacked, axis=1), 1, atol=1e-5)
    alike = stacked @ stacked.T - 2 * np.eye(20)
    assert (alike.argmax(axis=1) // 5 == np.arange(20) // 5).all()
    assert len(VOICES) == 4


def test_a_vector_does_not_depend_on_the_company_or_the_level(stage: SpeakerStage) -> None:
    sounds = [recordings_of(voice, 1)[0] for voice in VOICES]
    works = [work_of(sound.samples, sound.sample_rate_hz) for sound in sounds]
    together, alone = vectors(stage, works), [vectors(stage, [work])[0] for work in works]
    for one, other in zip(together, alone, strict=True):
        assert one is not None and other is not None and (one == other).all()
    quiet = vectors(stage, [work_of(0.01 * sounds[0].samples, sounds[0].sample_rate_hz)])[0]
    assert quiet is not None and together[0] is not None and float(quiet @ together[0]) > 0.95


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(1), np.zeros(16000), np.full(16000, 0.4), np.ones(MIN_SAMPLES - 1)], ids=len)
def test_no_voice_no_vector(stage: SpeakerStage, samples: np.ndarray) -> None:
    assert vectors(stage, [work_of(samples.astype(np.float32), 16000)]) == [None]


def test_noise_gives_no_nan(stage: SpeakerStage) -> None:
    noise = (0.5 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    vector = vectors(stage, [work_of(noise, 16000)])[0]
    assert vector is None or np.isfinite(vector).all()


def test_of_a_long_sound_the_middle_is_heard() -> None:
    stage = SpeakerStage(SpeakerStage.Config(max_duration_s=1.0), TOOLS)
    middle = np.concatenate([sound.at(16000) for sound in recordings_of("slt", 2)])[4000:20000]
    edges = np.concatenate([sound.at(16000) for sound in recordings_of("rms", 2)])[:16000]
    one, other = vectors(stage, [work_of(middle, 16000), work_of(np.concatenate([edges, middle, edges]), 16000)])
    assert one is not None and other is not None and (one == other).all()


def test_silences_are_left_out() -> None:
    speech = recordings_of("slt", 1)[0].at(16000)
    assert len(voiced_part(np.pad(speech, 32000))) < len(speech) + 16000 and len(voiced_part(np.zeros(16000, np.float32))) == 0


def test_a_unit_vector_has_length_one() -> None:
    assert np.linalg.norm(unit(np.array([3, 4], np.float32))) == pytest.approx(1) and np.isnan(unit(np.zeros(4, np.float32))).all()


def test_wavlm_embeds_one_at_a_time(wavlm: Path) -> None:
    encoder = SPEAKER_ENCODERS.build(Wavlm.Config(weights=wavlm))
    assert isinstance(encoder, SpeakerEncoder) and encoder.dimension == 24
    waveforms = [speech_like(duration_s, 16000, seed=seed) for seed, duration_s in enumerate((0.5, 1.3, 0.8))]
    found = encoder.embed([*waveforms, np.zeros(8000, np.float32)])
    assert found.shape == (4, 24) and np.isnan(found[3]).all() and np.allclose(np.linalg.norm(found[:3], axis=1), 1, atol=1e-5)
    for waveform, vector in zip(waveforms, found, strict=False):
        assert (encoder.embed([waveform])[0] == vector).all()
    assert encoder.embed([]).shape == (0, 24)


def test_wavlm_agrees_with_transformers_itself(wavlm: Path) -> None:
    waveform = speech_like(1.0, 16000)
    model = WavLMForXVector.from_pretrained(wavlm).eval()
    normal = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
    with torch.no_grad():
        expected = model(torch.from_numpy(normal)[None]).embeddings[0].numpy()
    found = Wavlm(Wavlm.Config(weights=wavlm)).embed([waveform])[0]
    assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


def test_the_stage_takes_another_encoder(wavlm: Path) -> None:
    config = SpeakerStage.Config.model_validate({"encoder": {"name": "wavlm", "weights": str(wavlm), "device": "cpu"}})
    vector = vectors(SpeakerStage(config, TOOLS), [work_of(speech_like(1.0, 24000), 24000)])[0]
    assert vector is not None and vector.shape == (24,)
    assert config.options() == {"encoder": {"name": "wavlm"}, "min_duration_s": 0.5, "max_duration_s": 30.0}
    assert "model.safetensors" in config.stamp() and str(wavlm) not in config.stamp()


def test_the_stamp_names_packages_and_weights() -> None:
    assert SpeakerStage.Config().stamp().startswith("resemblyzer 0.1")
    assert SpeakerStage.Config().options()["encoder"] == {"name": "resemblyzer"}


def test_ecapa_loads_weights_into_its_true_classes(tmp_path: Path) -> None:
    pytest.importorskip("speechbrain")
    from valle_data.speaker_encoders.ecapa import Ecapa, network

    torch.manual_seed(0)
    path = tmp_path / "embedding_model.ckpt"
    torch.save(network().state_dict(), path)
    encoder = Ecapa(Ecapa.Config(weights=path))
    waveforms = [speech_like(duration_s, 16000, seed=seed) for seed, duration_s in enumerate((0.5, 1.0))]
    found = encoder.embed([*waveforms, np.zeros(8000, np.float32)])
    assert found.shape == (3, 192) and np.isnan(found[2]).all() and np.allclose(np.linalg.norm(found[:2], axis=1), 1, atol=1e-5)
    assert (encoder.embed(waveforms[1:])[0] == found[1]).all()
    torch.save({"other": torch.zeros(1)}, path)
    with pytest.raises(EnvironmentProblem, match=r"needs the weights of speechbrain/spkrec-ecapa-voxceleb; .* holds others"):
        Ecapa(Ecapa.Config(weights=path))


def test_ecapa_is_refused_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "speechbrain", None)
    monkeypatch.setitem(sys.modules, "speechbrain.lobes.features", None)
    monkeypatch.delitem(sys.modules, "valle_data.speaker_encoders.ecapa", raising=False)
    registry._resolve.cache_clear()
    with pytest.raises(EnvironmentProblem, match=r"'ecapa' needs the package 'speechbrain.*pip install 'valle\[ecapa\]'"):
        SpeakerStage.Config.model_validate({"encoder": "ecapa"})


def test_missing_weights_are_refused_with_the_remedy(tmp_path: Path, wavlm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentProblem, match=r"'resemblyzer' needs a file as `weights`; .*none.pt' is none"):
        Resemblyzer(Resemblyzer.Config(weights=tmp_path / "none.pt"))
    with pytest.raises(EnvironmentProblem, match=r"'wavlm' needs a folder as `weights`; .* is none\. Correct the path"):
        Wavlm.Config(weights=tmp_path / "none").stamp()
    with pytest.raises(EnvironmentProblem, match=r"needs a folder with model.safetensors or pytorch_model.bin, config.json and preprocessor_config.json"):
        Wavlm(Wavlm.Config(weights=tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"hf download microsoft/wavlm-base-plus-sv`\) and name it as `weights`"):
        Wavlm.Config().stamp()
    with pytest.raises(UsageError, match=r"no speaker encoder 'resemblizer'\. Did you mean 'resemblyzer'"):
        SPEAKER_ENCODERS["resemblizer"]


def test_a_piece_of_a_recording_is_heard_as_it_is(stage: SpeakerStage) -> None:
    whole = Sound(np.concatenate([recordings_of(voice, 1)[0].at(24000) for voice in VOICES]), 24000)
    piece = whole.cut(1.0, 2.5)
    found = vectors(stage, [work_of(piece.samples, 24000)])[0]
    assert found is not None and found.shape == (256,)
