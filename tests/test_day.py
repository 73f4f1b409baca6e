"""docs/day.md is true: its commands run as they stand, and what they make agrees with what was said in the recordings."""

import csv
import itertools
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rapidfuzz.distance import Levenshtein

from tests.conftest import ROOT
from valle_data.dataset import Dataset

pytest.importorskip("silero_vad")
pytest.importorskip("pocketsphinx")
pytest.importorskip("resemblyzer")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/day.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after every command of the page."""
    folder = tmp_path_factory.mktemp("day")
    for name in ("examples", "configs"):
        (folder / name).symlink_to(ROOT / name)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands():
        done = subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return folder / ".day"


def rows(day: Path) -> list[dict[str, object]]:
    return [row for path in sorted((day / "set/shards").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_the_words_are_those_that_were_said_once_each_and_in_order(day: Path) -> None:
    said, found = defaultdict(list), defaultdict(list)
    with open(day / "truth.csv") as file:
        for row in csv.DictReader(file):
            said[row["file"]] += row["text"].split()
    for row in sorted(rows(day), key=lambda row: float(str(row["start_s"]))):
        found[Path(str(row["source_uri"])).name] += str(row["text"]).split()
    assert said.keys() == found.keys() and len(said) == 4
    for name, words in said.items():
        assert Levenshtein.distance(words, found[name]) / len(words) < 0.08, name


def test_long_recordings_are_in_several_parts_and_no_stretch_is_there_twice(day: Path) -> None:
    by_file = defaultdict(list)
    for row in rows(day):
        by_file[row["source_uri"]].append((float(str(row["start_s"])), float(str(row["end_s"])), row["part"]))
    assert any(len({part for _, _, part in stretches}) > 1 for stretches in by_file.values())
    for stretches in by_file.values():
        stretches.sort()
        assert all(before[1] <= after[0] + 0.25 for before, after in itertools.pairwise(stretches)), "padding may touch, speech may not"


def test_the_voices_are_told_apart(day: Path) -> None:
    table = pq.read_table(day / "set/metadata/speaker_attribution.parquet").to_pylist()
    voice = {row["utt_id"]: row["speaker"] for row in table}
    files = defaultdict(lambda: defaultdict(int))
    for row in rows(day):
        files[voice[row["utt_id"]]][row["source_uri"]] += 1
    pure = sum(max(counts.values()) for counts in files.values())
    assert pure / len(voice) > 0.95 and 4 <= len(files) <= 10


def test_training_can_open_it(day: Path) -> None:
    dataset = Dataset.open(day / "set")
    assert len(dataset) > 250
