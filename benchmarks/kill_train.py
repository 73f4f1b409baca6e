"""Kill `valle train` at random moments and compare where it ends with a run that nobody disturbed.

    python benchmarks/kill_train.py configs/train/debug.yaml dataset=work/debug --kills 20

Each kill is a `kill -9`, spread evenly over start-up, training and the saving of checkpoints (which are written every second step); the same
command then goes on. Compared are the weights, the optimizer's tensors and the state of the last checkpoint, byte for byte. fp32, one process.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from record import Table, median_and_spread, write_record

RECORD = Path("docs/benchmarks/kill_train.md")
STEPS = 40
SETTINGS = (
    "engine.precision=fp32",
    "engine.device=cpu",
    "engine.threads=1",
    f"loop.max_steps={STEPS}",
    "loop.checkpoint_every_steps=2",
    "loop.log_every_steps=1",
    "loop.samples_every_steps=0",
)
COMPARED = ("model.safetensors", "optimizer.safetensors", "state.json", "model.json")
KILLS_A_RUN = 5


@dataclass(frozen=True)
class Options:
    """One train command."""

    config: Path
    overrides: tuple[str, ...]

    def start(self, run: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pipelines", "train", str(self.config), *SETTINGS, *self.overrides, "-o", str(run)]
        with open(run.with_suffix(".out"), "ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said)

    def finish(self, run: Path) -> None:
        """Run to the end."""
        if (code := self.start(run).wait()) != 0:
            raise SystemExit(f"train ended with exit code {code}: {run.with_suffix('.out').read_text()[-2000:]}")


def steps_done(run: Path) -> int:
    """Steps that the run has reported."""
    metrics = run / "metrics.jsonl"
    return len(metrics.read_bytes().splitlines()) if metrics.exists() else 0


def saving(run: Path) -> bool:
    """Whether a checkpoint is being written at this moment."""
    return any((run / "checkpoints").glob(".step-*.tmp"))


def kill_once(options: Options, run: Path, generator: random.Random) -> tuple[str, int] | None:
    """Start and kill; returns where it was hit and the steps behind it, or None when the run ended first."""
    process, moment, before = options.start(run), generator.choice(("start-up", "training", "saving")), steps_done(run)
    if moment == "start-up":
        time.sleep(generator.uniform(0, 3))
    else:
        wanted = before + generator.randint(1, 8)
        while process.poll() is None and (steps_done(run) < wanted or (moment == "saving" and not saving(run))):
            time.sleep(0.001)
    hit = "saving" if saving(run) else "start-up" if steps_done(run) <= before else "training"
    process.kill()
    return (hit, steps_done(run)) if process.wait() == -signal.SIGKILL else None


def differing(a: Path, b: Path) -> list[str]:
    """Names of the files of the last checkpoint that are not the same bytes."""
    last = f"checkpoints/step-{STEPS:09d}"
    return [name for name in COMPARED if (a / last / name).read_bytes() != (b / last / name).read_bytes()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE changes to the configuration")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--record", type=Path, default=RECORD)
    args = parser.parse_args()
    options, generator = Options(args.config, tuple(args.overrides)), random.Random(0)
    hits: list[tuple[str, int]] = []
    different: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary, "undisturbed")
        options.finish(whole)
        runs = 0
        while len(hits) < args.kills:
            run = Path(temporary, f"killed-{runs}")
            for _ in range(min(KILLS_A_RUN, args.kills - len(hits))):
                if (hit := kill_once(options, run, generator)) is None:
                    break
                hits.append(hit)
            options.finish(run)
            different += differing(whole, run)
            runs += 1
    moments = sorted({moment for moment, _ in hits})
    rows = tuple((m, str(len(steps := [s for moment, s in hits if moment == m])), median_and_spread(steps)) for m in moments)
    table = Table(f"{len(hits)} kills over {runs} runs of {STEPS} steps", ("hit while", "kills", "steps reported at the kill"), rows)
    summary = f"Files of the final checkpoints that differ from the undisturbed run's: {len(different)} of {runs * len(COMPARED)}."
    write_record(args.record, "kill -9 of `valle train`", summary, [table])
    print(args.record.read_text())
    if different:
        raise SystemExit(f"Checkpoints differ: {different}")


if __name__ == "__main__":
    main()
