"""Make long recordings without transcripts out of the digits in this folder: what a microphone left running would give.

    python examples/long_recordings.py .day/recordings

One file a voice, of about a hundred digit strings in a row with pauses between, and no text. `truth.csv` beside the folder says what is said where, for
those who want to check.
"""

import csv
import random
import sys
from pathlib import Path

import numpy as np
import soundfile

DIGITS = Path(__file__).parent / "digits"
RATE_HZ = 16_000
PAUSE_S = (0.5, 1.4)


def main() -> int:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    rng, noise = random.Random(0), np.random.default_rng(0)
    rows: list[tuple[str, float, float, str]] = []
    for voice in sorted(folder.name for folder in (DIGITS / "train").iterdir()):
        place, sounds = 0.0, []
        for path in sorted((DIGITS / "train" / voice).glob("*.ogg")):
            sound, rate = soundfile.read(path, dtype="float32")
            assert rate == RATE_HZ, "all of them have one rate"
            pause = noise.normal(0, 1e-4, round(rng.uniform(*PAUSE_S) * rate)).astype(np.float32)
            start_s = place + len(pause) / rate
            rows.append((f"{voice}.flac", start_s, start_s + len(sound) / rate, path.with_suffix(".txt").read_text().strip()))
            place = rows[-1][2]
            sounds += [pause, sound]
        soundfile.write(out / f"{voice}.flac", np.concatenate(sounds), RATE_HZ)
        print(f"{out / voice}.flac: {place / 60:.1f} minutes")
    with open(out.with_name("truth.csv"), "w", newline="") as file:
        csv.writer(file).writerows([("file", "start_s", "end_s", "text"), *rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
