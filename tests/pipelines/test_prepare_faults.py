"""D2 in small: a disk that fails at any one call leaves the state before or after it, and the same command finishes the job.

`benchmarks/write_faults.py` lets every call fail; here it is one in some of each command.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.prepare import PrepareOptions
from pipelines.scratch import scratch_database
from tests.conftest import ROOT
from tests.prepare_dummies import config, corpus, run
from valle_data.errors import ExitCode, InputError, ReasonCode
from valle_data.shards import lock

sys.path.insert(0, str(ROOT / "benchmarks"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler for the library that fails on demand")
@pytest.mark.parametrize("commands", [("prepare", "prepare, going on", "prepare, HDF5"), ("metadata, anew", "metadata compact", "metadata hdf5")], ids=str)
def test_a_fault_at_one_call_in_some(commands: tuple[str, ...], tmp_path: Path) -> None:
    chosen = [word for name in commands for word in ("--scenario", name)]
    command = [sys.executable, "benchmarks/write_faults.py", "--stride", "23", "-o", str(tmp_path / "record.md"), *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith(tuple(f"| {name} |" for name in commands))]
    tried = [row for row in rows if len(row) == 7]
    assert len(tried) == 4 * len(commands) and all(int(row[2]) > 0 for row in tried), "every kind of fault was tried on every command"


def test_what_is_neither_before_nor_after_would_be_seen() -> None:
    from write_faults import torn

    before, after = {"a": b"1", "b": b"1"}, {"a": b"2", "b": b"1", "c": b"1"}
    assert list(torn(before, before, after)) == list(torn(after, before, after)) == list(torn({"a": b"1", "b": b"1", "c": b"1"}, before, after)) == []
    assert list(torn({"a": b"", "b": b"1"}, before, after)) == ["a is neither what it was nor what it is to be"]
    assert list(torn({"a": b"2", "d": b""}, before, after)) == ["d is neither what it was nor what it is to be", "b is gone"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/quarantine").write_text("a file")
    with pytest.raises(InputError, match="Could not create the folder") as caught:
        run(config(corpus(tmp_path / "corpus", speakers=1, each=1)), tmp_path / "set")
    assert caught.value.reason is ReasonCode.STORAGE_FAILED


def test_a_disk_that_fails_under_sqlite_is_storage_failed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Could not write .*a\.sqlite: .*it resumes") as caught, scratch_database(tmp_path / "nowhere/a.sqlite"):
        raise AssertionError("it cannot be opened")
    assert caught.value.reason is ReasonCode.STORAGE_FAILED
    with pytest.raises(InputError, match="database or disk is full"), scratch_database(tmp_path / "a.sqlite", ["max_page_count = 2"]) as full:
        full.execute("CREATE TABLE t (x)")
        full.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_another_host_stops_prepare_until_it_is_taken_over(tmp_path: Path) -> None:
    settings, output = config(corpus(tmp_path / "corpus", speakers=1, each=1)), tmp_path / "set"
    output.mkdir()
    (output / lock.NAME).write_text(json.dumps({"pid": 7, "host": "elsewhere", "started": "", "since_s": time.time() - 7200}))
    with pytest.raises(InputError, match=r"locked by pid 7 on elsewhere, 2\.0 h old, which cannot be seen from .*`--take-over`") as caught:
        run(settings, output)
    assert caught.value.reason is ReasonCode.OUTPUT_LOCKED and not list(output.rglob("part-*"))
    code, said = run(settings, output, options=PrepareOptions(take_over=True))
    assert code is ExitCode.DONE and "Taking over" in said and not (output / lock.NAME).exists()
