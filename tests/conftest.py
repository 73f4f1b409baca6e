"""Fixtures that several folders of tests share."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 32 real recordings of four voices, prepared and split by the commands themselves."""
    from pipelines.cli import main

    folder = tmp_path_factory.mktemp("digits")
    for voice in sorted((ROOT / "examples/digits/train").iterdir()):
        target = folder / "corpus/train" / voice.name
        target.mkdir(parents=True)
        for recording in sorted(voice.glob("*.ogg"))[:8]:
            for path in (recording, recording.with_suffix(".txt")):
                shutil.copy(path, target)
    dataset = folder / "dataset"
    prepare = [
        "prepare",
        str(ROOT / "configs/prepare/debug.yaml"),
        f"corpus.root={folder / 'corpus'}",
        "part_duration_s=20",
        "-o",
        str(dataset),
        "--workers",
        "0",
    ]
    assert main(prepare) == 0
    assert main(["metadata", str(dataset), "--no-report", "--validation-fraction", "0.2"]) == 0
    return dataset


@pytest.fixture(autouse=True)
def without_lazy_modules() -> Iterator[None]:
    """speechbrain leaves modules behind that import packages nobody has as soon as somebody, such as hypothesis, looks at them."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "speechbrain" or name == "valle_data.speaker_encoders.ecapa"]:
        del sys.modules[name]
