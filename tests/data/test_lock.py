"""One run per folder."""

import json
import multiprocessing
import os
import socket
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from valle_data.errors import InputError, ReasonCode
from valle_data.shards import lock


def leave_lock(folder: Path, **changes: object) -> None:
    holder = lock.Holder(os.getpid(), socket.gethostname(), lock.process_start(os.getpid()), time.time() - 7200)
    (folder / lock.NAME).write_text(json.dumps({**asdict(holder), **changes}))


def test_it_is_there_within_the_block_and_gone_after(tmp_path: Path) -> None:
    with lock.hold(tmp_path, take_over=False, note=pytest.fail):
        holder = lock.read_holder(tmp_path / lock.NAME)
        assert holder is not None and holder.pid == os.getpid() and holder.host == socket.gethostname()
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), lock.hold(tmp_path, take_over=False, note=pytest.fail):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("take_over", [False, True])
def test_a_running_holder_is_never_pushed_out(tmp_path: Path, take_over: bool) -> None:
    leave_lock(tmp_path)
    sentence = rf"pid {os.getpid()} on {socket.gethostname()}, 2\.0 h old, which is running.*--take-over"
    with pytest.raises(InputError, match=sentence) as caught, lock.hold(tmp_path, take_over=take_over, note=pytest.fail):
        pytest.fail("held twice")
    assert caught.value.reason is ReasonCode.OUTPUT_LOCKED
    assert (tmp_path / lock.NAME).exists()


@pytest.mark.parametrize(
    "changes", [{"started": "another boot 17"}, {"pid": 2**22 + 1, "started": ""}, {"pid": 2**22 + 1}], ids=["reused pid", "no start time", "dead"]
)
def test_the_lock_of_a_dead_process_of_this_host_is_taken_over_with_a_note(tmp_path: Path, changes: dict[str, object]) -> None:
    leave_lock(tmp_path, **changes)
    notes: list[str] = []
    with lock.hold(tmp_path, take_over=False, note=notes.append):
        holder = lock.read_holder(tmp_path / lock.NAME)
        assert holder is not None and holder.pid == os.getpid()
    assert len(notes) == 1 and "Taking over" in notes[0] and "which is gone" in notes[0]


def test_the_lock_of_another_host_needs_take_over(tmp_path: Path) -> None:
    leave_lock(tmp_path, host="elsewhere", pid=12)
    sentence = r"pid 12 on elsewhere.*run the same command with `--take-over`"
    with pytest.raises(InputError, match=sentence), lock.hold(tmp_path, take_over=False, note=pytest.fail):
        pytest.fail("held twice")
    notes: list[str] = []
    with lock.hold(tmp_path, take_over=True, note=notes.append):
        assert len(notes) == 1


def test_an_unreadable_lock_counts_as_another_host(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).write_bytes(b"\xff{")
    with pytest.raises(InputError, match="an unknown host"), lock.hold(tmp_path, take_over=False, note=pytest.fail):
        pytest.fail("held twice")


def test_a_lock_that_was_taken_over_is_left_to_its_new_holder(tmp_path: Path) -> None:
    with lock.hold(tmp_path, take_over=False, note=pytest.fail):
        leave_lock(tmp_path, host="elsewhere")
    assert (tmp_path / lock.NAME).exists()


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0 s"), (42, "42 s"), (60, "1 min"), (5400, "1.5 h"), (200_000, "2.3 days")])
def test_ages_read_well(seconds: float, text: str) -> None:
    assert lock.describe_age(seconds) == text


def _try(folder: Path, barrier, results) -> None:
    barrier.wait()
    try:
        with lock.hold(folder, take_over=False, note=lambda _: None):
            results.put("held")
            barrier.wait()
    except InputError:
        results.put("refused")
        barrier.wait()


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path: Path) -> None:
    leave_lock(tmp_path, started="another boot 17")
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_try, args=(tmp_path, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert sorted(results.get(timeout=5) for _ in processes) == ["held", "refused", "refused", "refused"]
