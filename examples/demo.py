"""The whole job on the digits in this folder: prepare, metadata, train, synth. Everything lands in `.demo/`; a few minutes on two cores.

python examples/demo.py            (or `make demo`, which also sets everything up)
"""

import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUT = Path(".demo")  # like every path here, below ROOT
VOICE = "slt"
PROMPT = next(path.relative_to(ROOT) for path in sorted((ROOT / "examples/digits/heldout" / VOICE).glob("*.ogg")))
TEXT = "three one four one five"

STEPS = (
    ("Turn the recordings into codes and phones", ["prepare", "configs/prepare/demo.yaml", "-o", f"{OUT}/digits"]),
    ("Merge, split and report", ["metadata", f"{OUT}/digits", "--validation-fraction", "0.05"]),
    ("Train a small model from scratch, for a few minutes", ["train", "configs/train/demo.yaml", f"dataset={OUT}/digits", "-o", f"{OUT}/run"]),
    (
        "Speak in the voice of a recording",
        ["synth", TEXT, "-c", f"{OUT}/run", "--prompt", str(PROMPT), "--seed", "1", "-o", f"{OUT}/out.wav"],
    ),
)


def main() -> int:
    begin = time.monotonic()
    (ROOT / OUT).mkdir(exist_ok=True)
    for title, arguments in STEPS:
        print(f"\n== {title}\n$ valle {shlex.join(arguments)}", flush=True)
        code = subprocess.run([sys.executable, "-m", "pipelines", *arguments], cwd=ROOT, check=False).returncode
        if code:
            print(f"The demo stopped: this command ended with exit code {code}.")
            return code
    print(f"\nDone in {(time.monotonic() - begin) / 60:.1f} minutes. What was made:")
    for path, what in (
        (f"{OUT}/digits/shards", "the data set: WebDataset shards with Parquet index"),
        (f"{OUT}/digits/metadata/report/index.html", "a report on it, with players: open it in a browser"),
        (f"{OUT}/run/tensorboard", "losses and samples: tensorboard --logdir " + f"{OUT}/run"),
        (f"{OUT}/run/checkpoints", "the model"),
        (f"{OUT}/out.wav", f'"{TEXT}" in the voice of {PROMPT}'),
    ):
        print(f"  {path:45} {what}")
    print("A few minutes of training make a voice that mumbles. `configs/train/digits.yaml` trains one that speaks: see README.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
