"""Train the mini codec on a folder of mono wav recordings and write `weights.safetensors`.

    python -m pipelines.codec_training data/sentences -o runs/codec --minutes 60

Two hours of speech and an hour on two CPU cores gave the weights in `valle_data/codecs/mini` (docs/benchmarks/mini_codec.md). The
learning rate follows the clock, so a run fits its time on any machine, but is not repeated bit for bit by its seed.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
import torch
from safetensors.torch import load_file, save_file

from pipelines.codec_training.codebooks import CodebookLearner
from pipelines.codec_training.losses import SpectralLoss
from valle_data.codecs.mini.network import FRAME, SAMPLE_RATE_HZ, MiniNetwork, MiniShape


def load_recordings(folder: Path) -> list[torch.Tensor]:
    """Every wav below `folder` as 24 kHz mono, peak 0.8, in the order of the paths."""
    recordings = []
    for path in sorted(folder.rglob("*.wav")):
        samples, rate = sf.read(path, dtype="float32")
        samples = soxr.resample(samples, rate, SAMPLE_RATE_HZ)
        recordings.append(torch.from_numpy(samples / (np.abs(samples).max() + 1e-6) * 0.8))
    if not recordings:
        raise ValueError(f"No .wav below {folder}. Make a corpus with benchmarks/synthesise_speech.py first.")
    return recordings


class Crops:
    """Seeded random crops of `frames` codec frames at a random gain, and where a recording is shorter, silence around it."""

    def __init__(self, recordings: list[torch.Tensor], frames: int, seed: int) -> None:
        self.recordings, self.length = recordings, frames * FRAME
        self.random = np.random.default_rng(seed)

    def batch(self, size: int) -> torch.Tensor:
        """`[size, frames * FRAME]`."""
        out = torch.zeros(size, self.length)
        for row in out:
            recording = self.recordings[self.random.integers(len(self.recordings))]
            start = int(self.random.integers(-FRAME * 3, max(1, len(recording) - self.length + FRAME * 3)))
            piece = recording[max(0, start) : start + self.length]
            offset = max(0, -start)
            piece = piece[: self.length - offset]
            row[offset : offset + len(piece)] = piece * float(self.random.uniform(0.3, 1.15))
        return out


def save(network: MiniNetwork, folder: Path, steps: int, seconds: float) -> None:
    """Weights as float16 (half the size; the loader computes in float32) with the network's sizes in the header."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    header = {"shape": json.dumps(network.shape.__dict__), "steps": str(steps), "seconds": str(round(seconds))}
    save_file(tensors, folder / "weights.safetensors", metadata=header)


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    crops = Crops(load_recordings(args.corpus), args.frames, args.seed)
    network, loss_of = MiniNetwork(MiniShape()), SpectralLoss()
    if args.init:
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(args.init).items()})
    learner = CodebookLearner(network.quantizer, seed=args.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, betas=(0.8, 0.95), weight_decay=0.01)
    begin, step, smooth, saved = time.monotonic(), 0, None, time.monotonic()
    while (elapsed := time.monotonic() - begin) < args.minutes * 60:
        progress = elapsed / (args.minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * progress) + 0.01)
        waveform = crops.batch(args.batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            latent = network.latent(waveform).float()
            if step < args.unquantised:
                commitment = latent.new_zeros(())
            else:
                if step == args.unquantised:
                    learner.start(collect_latents(network, crops))
                with torch.autocast("cpu", enabled=False):  # nearest codes are found in full precision
                    quantized = learner.quantize(latent)
                latent, commitment = quantized.latent, quantized.commitment
            decoded = network.synthesise(latent)
        spectral = loss_of(decoded.float(), waveform)
        loss = spectral + args.commitment * commitment
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        smooth = spectral.item() if smooth is None else 0.98 * smooth + 0.02 * spectral.item()
        if step % 100 == 0:
            print(f"step {step}  {elapsed:.0f} s  spectral {smooth:.4f}  commitment {commitment.item():.4f}  revived {learner.revived}", flush=True)
            learner.revived = 0
        if time.monotonic() - saved > 300:
            save(network, args.out, step, elapsed)
            saved = time.monotonic()
    save(network, args.out, step, time.monotonic() - begin)


@torch.no_grad()
def collect_latents(network: MiniNetwork, crops: Crops, batches: int = 16) -> torch.Tensor:
    """Latents `[M, D]` of a few hundred crops, to start the codebooks from."""
    latents = torch.cat([network.latent(crops.batch(32)).float() for _ in range(batches)])
    return latents.transpose(1, 2).reshape(-1, latents.shape[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--frames", type=int, default=30, help="length of a crop in codec frames of 40 ms")
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--commitment", type=float, default=0.25)
    parser.add_argument("--unquantised", type=int, default=300, help="steps before the codebooks start")
    parser.add_argument("--init", type=Path, help="start from these weights instead of random ones")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
