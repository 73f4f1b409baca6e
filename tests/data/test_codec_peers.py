"""Our codecs against the same weights in other code: transformers' EnCodec, DAC and Mimi in one pass, and the packages' own methods."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

from tests.codec_dummies import dac_shape, dac_weights, encodec_weights, fill_dac, make_dac_codec, make_small_vocos, mimi_weights, voice
from valle_data.codecs.dac import Dac
from valle_data.codecs.dac import make_model as make_dac
from valle_data.codecs.encodec import Encodec, make_model
from valle_data.codecs.mimi import Mimi


@torch.no_grad()
def copy_layers(source: Any, target: Any) -> None:
    """Both networks hold the same layers in the same order."""
    kinds = (torch.nn.Conv1d, torch.nn.ConvTranspose1d, torch.nn.LSTM, torch.nn.Embedding)

    def layers(network: Any) -> list[Any]:
        return [module for module in network.modules() if isinstance(module, kinds) or type(module).__name__ == "Snake1d"]

    for ours, theirs in zip(layers(source), layers(target), strict=True):
        if isinstance(ours, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            if is_parametrized(theirs):
                theirs.weight = ours.weight.detach()
            else:
                theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.bias)
        else:
            theirs.load_state_dict(ours.state_dict())


def tensor(waveform: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(waveform)[None, None]


@pytest.mark.parametrize("bandwidth", [1.5, 6.0])
def test_encodec_equals_the_one_of_transformers(tmp_path: Path, bandwidth: float):
    from transformers import EncodecConfig, EncodecModel

    codec = Encodec(Encodec.Config(weights=encodec_weights(tmp_path, 24_000), bandwidth_kbps=bandwidth))
    reference: Any = EncodecModel(EncodecConfig()).eval()
    copy_layers(codec.model.encoder, reference.encoder)
    copy_layers(codec.model.decoder, reference.decoder)
    for ours, theirs in zip(codec.model.quantizer.vq.layers, reference.quantizer.layers, strict=True):
        theirs.codebook.embed.copy_(ours._codebook.embed)
    waveform = voice(24_000, 24_000)
    with torch.no_grad():
        expected = reference.encode(tensor(waveform), bandwidth=bandwidth, return_dict=True)
        sound = reference.decode(expected.audio_codes, [None], return_dict=True).audio_values[0, 0]
    (codes,) = codec.encode([waveform])
    assert (codes == expected.audio_codes[0, 0].numpy()).mean() > 0.999
    np.testing.assert_allclose(codec.decode(expected.audio_codes[0, 0].numpy().astype(np.uint16)), sound.clamp(-1, 1).numpy(), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 6, 7, 40])
def test_encodec_equals_its_package(tmp_path: Path, frames: int):
    """In one pass, short utterances included."""
    path = encodec_weights(tmp_path, 24_000)
    model = make_model(24_000)
    model.load_state_dict(torch.load(path, weights_only=True))
    model.set_target_bandwidth(6)
    waveform = voice(frames * 320, 24_000)
    with torch.inference_mode():
        ((expected, _),) = model.encode(tensor(waveform))
        sound = model.decode([(expected, None)])[0, 0]
    codec = Encodec(Encodec.Config(weights=path))
    assert (codec.encode([waveform])[0] == expected[0].numpy()).mean() > 0.999
    np.testing.assert_allclose(codec.decode(expected[0].numpy().astype(np.uint16)), sound.clamp(-1, 1).numpy(), atol=1e-5)


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_dac_equals_its_package(tmp_path: Path, rate: int):
    """`DAC.forward` cuts its sound to the waveform; an odd stride leaves it a few samples short of whole frames."""
    codec = make_dac_codec(tmp_path, rate)
    model: Any = make_dac(dac_shape(rate))
    model.load_state_dict(torch.load(dac_weights(tmp_path, rate), weights_only=False)["state_dict"])
    waveform = voice(rate * 2, rate)
    with torch.inference_mode():
        found = model(tensor(waveform), rate)
    (codes,) = codec.encode([waveform])
    assert (codes == found["codes"][0].numpy()).mean() > 0.995
    sound, expected = codec.decode(found["codes"][0].numpy().astype(np.uint16)), found["audio"][0, 0].numpy()
    np.testing.assert_allclose(sound[: len(expected)], expected, atol=1e-5)
    assert len(sound) - len(expected) < codec.hop and np.abs(expected).max() > 1e-2


def test_dac_equals_the_one_of_transformers(tmp_path: Path):
    from transformers import DacConfig, DacModel

    torch.manual_seed(0)
    model: Any = make_dac(dac_shape(24_000, encoder_dim=8, latent_dim=128, decoder_dim=64, n_codebooks=6))
    fill_dac(model, 24_000)
    model.save(tmp_path / "dac.pth", package=False)
    codec = Dac(Dac.Config(weights=tmp_path / "dac.pth"))
    reference: Any = DacModel(
        DacConfig(encoder_hidden_size=8, downsampling_ratios=[2, 4, 5, 8], decoder_hidden_size=64, n_codebooks=6, codebook_size=1024, sampling_rate=24_000)
    ).eval()
    for half in ("encoder", "decoder", "quantizer"):
        copy_layers(getattr(codec.model, half), getattr(reference, half))
    waveform = voice(24_000, 24_000)
    (codes,) = codec.encode([waveform])
    with torch.no_grad():
        expected = reference.encode(tensor(waveform)).audio_codes
        sound = reference.decode(audio_codes=expected).audio_values.flatten().numpy()
    assert (codes == expected[0].numpy()).mean() > 0.995
    assert min(len(np.unique(level)) for level in codes) > 10
    np.testing.assert_allclose(codec.decode(expected[0].numpy().astype(np.uint16))[: len(sound)], sound, atol=1e-5)


def test_vocos_equals_its_package(tmp_path: Path):
    """`Vocos.codes_to_features` and `Vocos.decode`, on the package's own class put together without its download."""
    from vocos import Vocos
    from vocos.feature_extractors import EncodecFeatures

    codec = make_small_vocos(tmp_path)
    features: Any = EncodecFeatures.__new__(EncodecFeatures)
    torch.nn.Module.__init__(features)
    features.encodec, features.codebook_weights = codec.encodec.model, codec.model.feature_extractor["codebook_weights"]
    peer = Vocos(features, codec.model.backbone, codec.model.head)
    (codes,) = codec.encode([voice(24_000, 24_000)])
    expected = peer.decode(peer.codes_to_features(torch.from_numpy(codes.astype(np.int64))), bandwidth_id=torch.tensor([2]))
    np.testing.assert_allclose(codec.decode(codes), expected[0].clamp(-1, 1).numpy(), atol=1e-6)
    assert np.abs(codec.decode(codes)).max() > 1e-2


@pytest.mark.parametrize("seconds", [0.5, 6])
def test_mimi_equals_its_model_in_one_pass(tmp_path: Path, seconds: float):
    """Six seconds are 150 positions of a transformer whose window is 20: its cache has long let go of the first."""
    codec = Mimi(Mimi.Config(weights=mimi_weights(tmp_path)))
    waveform = voice(int(seconds * 24_000), 24_000)
    (codes,) = codec.encode([waveform])
    padded = np.pad(waveform, (0, -len(waveform) % 1920))
    with torch.inference_mode():
        expected = codec.model.encode(tensor(padded), num_quantizers=8).audio_codes
        sound = codec.model.decode(expected).audio_values[0, 0]
    assert (codes == expected[0].numpy()).mean() > 0.995
    assert min(len(np.unique(level)) for level in codes) > 3
    np.testing.assert_allclose(codec.decode(expected[0].numpy().astype(np.uint16)), sound.clamp(-1, 1).numpy(), atol=1e-5)
