"""Training of the mini codec: a short run on a tiny corpus, and how codebooks learn against the obvious way."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from safetensors import safe_open

from pipelines.codec_training.__main__ import Crops, load_recordings, save
from pipelines.codec_training.codebooks import CodebookLearner
from pipelines.codec_training.losses import SpectralLoss
from valle_data.codecs.mini import MiniCodec
from valle_data.codecs.mini.network import FRAME, SAMPLE_RATE_HZ, MiniNetwork, MiniShape
from valle_data.codecs.mini.quantizer import ResidualQuantizer

SMALL = MiniShape(num_mels=40, encoder_width=32, encoder_depth=1, decoder_width=48, decoder_depth=1, latent_width=8, num_levels=2, codebook_size=16)


def buzz(seconds: float, pitch: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    partials = [np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6)]
    return (0.2 * np.sum(partials, axis=0)).astype(np.float32)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus" / "group" / "speaker"
    folder.mkdir(parents=True)
    for index, pitch in enumerate((110, 160, 230)):
        sf.write(folder / f"{index}.wav", buzz(1.5, pitch, 16_000), 16_000)
    return tmp_path / "corpus"


def latents(count: int, width: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_recordings_come_at_24_khz_in_the_order_of_their_paths(corpus: Path):
    recordings = load_recordings(corpus)
    assert [len(r) for r in recordings] == [SAMPLE_RATE_HZ * 3 // 2] * 3
    assert all(abs(float(r.abs().max()) - 0.8) < 1e-3 for r in recordings)
    with pytest.raises(ValueError, match=r"No \.wav below .* Make a corpus with benchmarks/synthesise_speech\.py first"):
        load_recordings(corpus / "group" / "nobody")


def test_crops_are_seeded_and_stretches_of_a_recording():
    recordings = [torch.arange(1, 20 * FRAME + 1, dtype=torch.float32), torch.ones(FRAME // 2)]
    first, again, other = (Crops(recordings, 4, seed).batch(16) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (16, 4 * FRAME)
    for row in first:
        heard = row[row != 0]
        if len(heard) > FRAME:
            steps = heard.diff()
            torch.testing.assert_close(steps, steps[:1].expand(len(steps)), rtol=0.02, atol=1e-3)


def test_a_few_steps_reduce_the_loss(corpus: Path):
    torch.manual_seed(0)
    crops, network, loss_of = Crops(load_recordings(corpus), 8, 0), MiniNetwork(SMALL), SpectralLoss()
    learner = CodebookLearner(network.quantizer, dropout=0.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    with torch.no_grad():
        learner.start(network.latent(crops.batch(8)).transpose(1, 2).reshape(-1, 8))
    losses = []
    for _ in range(20):
        waveform = crops.batch(3)
        quantized = learner.quantize(network.latent(waveform))
        loss = loss_of(network.synthesise(quantized.latent), waveform)
        optimizer.zero_grad()
        (loss + 0.25 * quantized.commitment).backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    encoder_gradient = network.encoder_out.weight.grad
    assert encoder_gradient is not None and encoder_gradient.abs().max() > 0


@pytest.mark.slow
def test_the_command_writes_weights_that_the_codec_loads(corpus: Path, tmp_path: Path):
    from pipelines.codec_training.__main__ import train

    args = argparse.Namespace(corpus=corpus, out=tmp_path / "out", minutes=0.3, batch=4, frames=12, lr=1e-3, commitment=0.25, unquantised=3)
    train(argparse.Namespace(**vars(args), init=None, bf16=False, threads=1, seed=0))
    codec = MiniCodec(MiniCodec.Config(weights=tmp_path / "out" / "weights.safetensors"))
    (codes,) = codec.encode([buzz(0.5, 150, SAMPLE_RATE_HZ)])
    assert codes.shape == (8, 13) and np.isfinite(codec.decode(codes)).all()


def test_saved_weights_are_the_codec_again(tmp_path: Path):
    torch.manual_seed(1)
    network = MiniNetwork(SMALL).eval()
    network.quantizer.codebooks.normal_()
    save(network, tmp_path, 17, 3.6)
    with safe_open(tmp_path / "weights.safetensors", "pt") as file:
        assert file.metadata() == {"shape": json.dumps(SMALL.__dict__), "steps": "17", "seconds": "4"}
    codec = MiniCodec(MiniCodec.Config(weights=tmp_path / "weights.safetensors"))
    for name, tensor in network.state_dict().items():
        assert torch.equal(codec.network.state_dict()[name], tensor.half().float()), name
    assert codec.spec.num_levels == 2 and codec.spec.codebook_size == 16


def test_kmeans_start_equals_lloyds_algorithm():
    """Each level by loops, from the same first centres, on what the level before left over."""
    data, num_codes, iterations = latents(60), 5, 4
    quantizer = ResidualQuantizer(2, num_codes, 4)
    CodebookLearner(quantizer, seed=3).start(data, iterations=iterations)
    generator, rest = torch.Generator().manual_seed(3), data
    for level in range(2):
        centres = [rest[i] for i in torch.randperm(len(rest), generator=generator)[:num_codes]]
        for _ in range(iterations):
            owner = [min(range(num_codes), key=lambda c: float((x - centres[c]).square().sum())) for x in rest]
            members = [[x for x, o in zip(rest, owner, strict=True) if o == c] for c in range(num_codes)]
            centres = [torch.stack(m).mean(0) if m else centre for m, centre in zip(members, centres, strict=True)]
        torch.testing.assert_close(quantizer.codebooks[level], torch.stack(centres), atol=1e-5, rtol=1e-4)
        owner = [min(range(num_codes), key=lambda c: float((x - centres[c]).square().sum())) for x in rest]
        rest = torch.stack([x - centres[o] for x, o in zip(rest, owner, strict=True)])
    assert float(rest.square().mean()) < 0.5 * float(data.square().mean())


def test_codebooks_move_by_the_averages_of_what_they_are_used_for():
    """van den Oord et al. 2017, equations 6-8, by hand for one step of one level; nothing is dead here."""
    data = latents(40)
    quantizer = ResidualQuantizer(1, 4, 4)
    learner = CodebookLearner(quantizer, decay=0.9, revive_below=0.0, dropout=0.0)
    learner.start(data)
    counts, sums, book = learner.counts[0].clone(), learner.sums[0].clone(), quantizer.codebooks[0].clone()
    learner.quantize(data.T[None])
    owner = torch.cdist(data, book).argmin(1)
    for code in range(4):
        mine = data[owner == code]
        count = 0.9 * counts[code] + 0.1 * len(mine)
        total = 0.9 * sums[code] + 0.1 * mine.sum(0)
        torch.testing.assert_close(quantizer.codebooks[0, code], total / count, atol=1e-5, rtol=1e-4)


def test_a_dead_code_starts_again_at_a_latent_of_the_step():
    data = latents(30)
    quantizer = ResidualQuantizer(1, 3, 4)
    learner = CodebookLearner(quantizer, decay=0.5, revive_below=0.5, dropout=0.0)
    learner.start(data)
    quantizer.codebooks[0, 2] = 1000.0
    learner.counts[0, 2] = 8.0
    learner.sums[0, 2] = 8000.0
    learner.quantize(data.T[None])
    assert learner.revived == 0
    for _ in range(8):
        learner.quantize(data.T[None])
        if learner.revived:
            break
    assert learner.revived == 1
    assert min(float((quantizer.codebooks[0, 2] - x).abs().max()) for x in data) < 1e-5
    alive = quantizer.codebooks[0, :2].clone()
    assert alive.abs().max() < 10


def test_quantised_latents_are_codes_forward_and_the_input_backward():
    data = latents(24).T.reshape(1, 4, 24).clone().requires_grad_()
    quantizer = ResidualQuantizer(3, 6, 4)
    learner = CodebookLearner(quantizer, dropout=0.0)
    learner.start(data.detach()[0].T)
    books = quantizer.codebooks.clone()
    quantized = learner.quantize(data)
    reference = ResidualQuantizer(3, 6, 4)
    reference.codebooks.copy_(books)
    torch.testing.assert_close(quantized.latent, reference.decode(reference.encode(data.detach())), atol=1e-5, rtol=1e-4)
    quantized.latent.sum().backward()
    assert data.grad is not None
    torch.testing.assert_close(data.grad, torch.ones_like(data))


def test_dropped_levels_leave_an_item_with_its_first_levels():
    data = latents(400).reshape(100, 4, 4).transpose(1, 2)
    quantizer = ResidualQuantizer(3, 8, 4)
    learner = CodebookLearner(quantizer, dropout=1.0, seed=5)
    learner.start(latents(400))
    books = quantizer.codebooks.clone()
    out = learner.quantize(data).latent
    reference = ResidualQuantizer(3, 8, 4)
    reference.codebooks.copy_(books)
    codes = reference.encode(data)
    kept = [next((q for q in (1, 2, 3) if torch.allclose(out[i], reference.decode(codes[i : i + 1, :q])[0], atol=1e-4)), 0) for i in range(100)]
    assert set(kept) == {1, 2, 3}


def test_spectral_loss_is_0_only_for_the_same_sound():
    loss_of = SpectralLoss()
    a, b = (torch.from_numpy(buzz(0.3, pitch, SAMPLE_RATE_HZ))[None] for pitch in (120, 180))
    assert float(loss_of(a, a)) == 0
    assert float(loss_of(a, b)) > float(loss_of(a, a * 0.9)) > 0
