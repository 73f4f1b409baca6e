"""Data sets in an object store: a real S3 server on this machine, and its failures."""

import io
import json
import logging
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from pipelines import convert as convert_command
from pipelines import prepare
from pipelines import repair as repair_command
from pipelines.console import Console
from pipelines.executors.local import LocalExecutor
from pipelines.run_log import RunLog
from tests.prepare_dummies import PLAIN, config, corpus
from tests.shard_dummies import add_part, coded, empty_dataset, identity, manifest
from valle_data import files
from valle_data.dataset import Dataset
from valle_data.errors import EnvironmentProblem, ExitCode, InputError, ReasonCode, UsageError
from valle_data.records import Rejection
from valle_data.shards import lock
from valle_data.shards.base import index_path, record_path, shard_path
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import commit_part, committed_parts, read_part_index
from valle_data.shards.compact import compact, load_compact
from valle_data.shards.tar import TarShard
from valle_data.stores import object_store
from valle_data.stores.object_store import ATTEMPTS, coalesce
from valle_data.stores.remote_path import RemotePath, locate

KEY, SECRET = "AKIASECRETKEY", "very+secret/value"
REFUSED = [Rejection("bad", "bad.wav", "decode", ReasonCode.NOT_AUDIO, "bad.wav is empty", "f")]


class Server:
    """The S3 server, as a test sees it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def fail(self, fault: str, times: int, method: str = "GET") -> None:
        body = json.dumps({"fault": fault, "times": times, "method": method}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/faults", data=body, method="POST"), timeout=10).read()

    def requests(self) -> dict[str, int]:
        return json.loads(urllib.request.urlopen(f"{self.url}/requests", timeout=10).read())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.data.s3_server", str(port)], stderr=subprocess.DEVNULL)
    found = Server(port)
    for _ in range(300):
        try:
            found.requests()
            break
        except OSError:
            time.sleep(0.1)
    environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": found.url, "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(object_store, "FIRST_WAIT_S", 0.01)
        patch.setattr(object_store, "TIMEOUT_S", 2.0)
        object_store.object_store.cache_clear()
        yield found
        object_store.object_store.cache_clear()
    process.terminate()
    process.wait()


@pytest.fixture
def bucket(server: Server, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty folder in the store."""
    name = f"b{abs(hash(request.node.name)):x}"
    object_store.object_store("s3")._files.mkdir(name)
    server.fail("503", 0)
    yield locate(f"s3://{name}/data sets/a")
    server.fail("503", 0)


def remote_dataset(folder: Path, parts: int = 3) -> Path:
    manifest().save(folder)
    for part in range(parts):
        add_part(folder, part, num_utterances=part + 1, rejections=REFUSED)
    return folder


# --- paths


def test_a_url_is_a_path_and_survives_pickling_and_a_lost_slash() -> None:
    path = locate("s3://bucket/a b/set")
    assert str(path) == str(locate(Path("s3://bucket/a b/set"))) == str(pickle.loads(pickle.dumps(path))) == "s3://bucket/a b/set"  # noqa: S301
    assert isinstance(path / "shards" / "x.tar", RemotePath) and f"{shard_path(path, 3)}" == "s3://bucket/a b/set/shards/part-000003.tar"
    assert locate(path) is path and locate("file:///tmp/x") == Path("/tmp/x") and type(locate("work/x")) is type(Path("x"))


@pytest.mark.parametrize("url", ["s3://KEYID:hunter2@bucket/x", "s3://hunter2@bucket", "s3://bucket/x?key=hunter2", "s3://bucket#hunter2"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="Give credentials in the environment") as caught:
        locate(url)
    assert "hunter2" not in str(caught.value)


def test_addresses_that_name_nothing_or_need_a_package(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        locate("s3://")
    with pytest.raises(EnvironmentProblem, match="No installed package knows addresses like nosuch://"):
        files.read(locate("nosuch://bucket/x"))


@pytest.mark.parametrize("use", [open, os.listdir, Path.mkdir, Path.unlink, shutil.rmtree], ids=lambda use: use.__name__)
def test_what_needs_a_local_file_says_so(use) -> None:
    with pytest.raises(UsageError, match="is in an object store, and this needs a local file"):
        use(locate("s3://bucket/x"))


@pytest.mark.parametrize(
    ("ranges", "merged"),
    [([], []), ([(5, 9)], [(5, 9)]), ([(30, 40), (0, 10), (12, 20)], [(0, 20), (30, 40)]), ([(0, 50), (10, 20), (50, 60)], [(0, 60)])],
)
def test_ranges_near_one_another_become_one(ranges: list[tuple[int, int]], merged: list[tuple[int, int]]) -> None:
    assert coalesce(ranges, gap_bytes=3) == merged


# --- a data set in the store


def test_a_data_set_is_committed_checked_and_read(bucket: Path, tmp_path: Path) -> None:
    remote_dataset(bucket)
    local = remote_dataset(empty_dataset(tmp_path / "local"))
    assert check_dataset(bucket) == []
    for folder in ("shards", "quarantine"):
        assert {path.name: path.read_bytes() for path in (bucket / folder).iterdir()} == {path.name: path.read_bytes() for path in (local / folder).iterdir()}
    there, here = Dataset.open(bucket), Dataset.open(local)
    assert len(there) == len(here) == 6
    for row in range(6):
        assert np.array_equal(there.codes(row), here.codes(row)) and there.utterance_id(row) == here.utterance_id(row)
    assert there.codes(5, 2, 4, levels=3).shape == (3, 2)


def test_rows_wanted_together_cost_a_request_a_shard(bucket: Path, server: Server) -> None:
    manifest().save(bucket)
    for part in range(2):
        commit_part(bucket, identity(part, f"id{part}"), [coded(f"p{part}-u{i:02}", num_frames=50, seed=i) for i in range(20)], [], TarShard())
    dataset = Dataset.open(bucket)
    server.fail("503", 0)
    dataset.prefetch(range(40))
    assert server.requests() == {"GET": 2}
    found = [dataset.codes(row) for row in range(40)]
    assert server.requests() == {"GET": 2} and np.array_equal(found[25], coded("x", num_frames=50, seed=5).codes)


def test_what_was_fetched_stays_within_bounds(bucket: Path) -> None:
    dataset = Dataset.open(remote_dataset(bucket))
    dataset._shards._most_bytes = 500  # pyright: ignore[reportAttributeAccessIssue]
    for row in [0, 1, 2, 3, 4, 5, 0, 3]:
        assert dataset.codes(row).size
        assert dataset._shards._kept_bytes <= 500 or len(dataset._shards._kept) == 1  # pyright: ignore[reportAttributeAccessIssue]


def test_a_part_is_created_once(bucket: Path) -> None:
    remote_dataset(bucket, 1)
    before = record_path(bucket, 0).read_bytes()
    assert add_part(bucket, 0, num_utterances=1, rejections=REFUSED).part == 0
    with pytest.raises(InputError, match="Two different runs wrote to one folder"):
        commit_part(bucket, identity(0, "other"), [coded("x")], [], TarShard())
    assert record_path(bucket, 0).read_bytes() == before and check_dataset(bucket) == []


def test_of_two_writers_at_once_the_server_lets_one_win(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen that there is no record; the put itself is conditional."""
    store = object_store.object_store("s3")
    monkeypatch.setattr(store, "entry", lambda path: None)
    assert files.create_once(bucket / "x", b"first") and not files.create_once(bucket / "x", b"second")
    assert files.read(bucket / "x") == b"first"


def test_the_lock_holds_there_too(bucket: Path) -> None:
    notes: list[str] = []
    second = lock.hold(bucket, take_over=False, note=notes.append)
    with lock.hold(bucket, take_over=False, note=notes.append), pytest.raises(InputError, match="is being written by pid"):
        second.__enter__()
    assert not (bucket / lock.NAME).exists()


def test_damage_in_the_store_is_found_and_only_looked_at(bucket: Path) -> None:
    remote_dataset(bucket)
    row = read_part_index(bucket, committed_parts(bucket)[2]).to_pylist()[1]
    data = bytearray(shard_path(bucket, 2).read_bytes())
    data[row["offset"] + 150] ^= 1
    files.write_atomically(shard_path(bucket, 2), bytes(data))
    with pytest.raises(InputError, match=r"corrupt_shard.*p2-u1"):
        Dataset.open(bucket).codes(4)
    said = io.StringIO()
    console = Console(stdout=said, as_json=True)
    assert repair_command.run(bucket, console=console, dry_run=True) is ExitCode.RUN_FAILED and "salvage" in said.getvalue()
    with pytest.raises(UsageError, match="use --dry-run"):
        repair_command.run(bucket, console=console)
    files.discard(index_path(bucket, 1))
    with pytest.raises(InputError, match=r"part-000001\.parquet is gone"):
        Dataset.open(bucket)


def test_converting_to_the_store_and_back(bucket: Path, tmp_path: Path) -> None:
    local = remote_dataset(empty_dataset(tmp_path / "local"))
    console = Console(stdout=io.StringIO(), as_json=True)
    assert convert_command.run(local, bucket, shards="hdf5", console=console) is ExitCode.DONE
    assert check_dataset(bucket) == []
    assert convert_command.run(bucket, tmp_path / "back", shards="tar", console=console) is ExitCode.DONE
    for path in (local / "shards").iterdir():
        assert (tmp_path / "back/shards" / path.name).read_bytes() == path.read_bytes()


def test_prepare_commits_to_the_store_and_resumes(bucket: Path, tmp_path: Path) -> None:
    settings, local = config(corpus(tmp_path / "corpus", speakers=2, each=3)), tmp_path / "local"
    console = Console(stdout=io.StringIO(), as_json=True)
    with RunLog(tmp_path / "prepare.log") as log:  # as with --log-file: a log grows line by line, which no object can
        console.log = log
        for output in (bucket, bucket, local):
            done = prepare.run(settings, output, executor=LocalExecutor.Config(workers=0), console=console, options=PLAIN)
            assert done is ExitCode.DONE
    for folder in ("shards", "plan"):
        assert {path.name: path.read_bytes() for path in (bucket / folder).iterdir()} == {path.name: path.read_bytes() for path in (local / folder).iterdir()}
    assert check_dataset(bucket) == [] and not (bucket / lock.NAME).exists()


def test_merged_parts_are_used_in_the_store_until_a_record_changes(bucket: Path, server: Server) -> None:
    remote_dataset(bucket)
    assert compact(bucket) == 3 and load_compact(bucket, manifest()) is not None
    server.fail("503", 0)
    first = Dataset.open(bucket)
    few = server.requests()["GET"]
    add_part(bucket, 5)
    assert load_compact(bucket, manifest()) is None and len(Dataset.open(bucket)) == len(first) + 3
    assert few < 12


# --- faults


@pytest.mark.parametrize(("fault", "method", "times"), [("503", "GET", ATTEMPTS - 1), ("503", "PUT", ATTEMPTS - 1), ("cut", "GET", 3), ("hang", "GET", 1)])
def test_a_few_failures_are_ridden_out(fault: str, method: str, times: int, bucket: Path, server: Server) -> None:
    files.write_atomically(bucket / "x", b"old " * 1000)
    server.fail(fault, times, method)
    if method == "PUT":
        files.write_atomically(bucket / "x", b"new " * 1000)
    assert files.read(bucket / "x") == (b"new " if method == "PUT" else b"old ") * 1000


@pytest.mark.parametrize("fault", ["503", "cut", "expired"])
def test_what_goes_on_failing_is_reported_with_the_key_and_no_secret(fault: str, bucket: Path, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files.write_atomically(bucket / "shards/part-000001.tar", b"data " * 1000)
    server.fail(fault, 10**6)
    with pytest.raises(InputError) as caught:
        files.read(bucket / "shards/part-000001.tar")
    assert caught.value.reason is ReasonCode.STORAGE_FAILED and "shards/part-000001.tar" in str(caught.value)
    assert ("renew them" if fault == "expired" else f"after {ATTEMPTS} attempts") in str(caught.value)
    said = f"{caught.value} {caught.value.__cause__} {caplog.text}"
    assert KEY not in said and SECRET not in said
    assert server.requests()["GET"] <= ATTEMPTS, "a layer below tries again, too"


def test_a_commit_that_fails_leaves_no_part_and_the_next_one_finishes(bucket: Path, server: Server) -> None:
    remote_dataset(bucket, 1)
    server.fail("503", 10**6, "PUT")
    with pytest.raises(InputError, match=r"storage_failed: Could not write s3://.*SlowDown"):
        add_part(bucket, 1)
    server.fail("503", 0)
    assert [record.part for record in committed_parts(bucket)] == [0]
    add_part(bucket, 1)
    assert check_dataset(bucket) == []


def test_a_missing_object_is_no_storage_failure(bucket: Path) -> None:
    with pytest.raises(InputError, match=r"missing_shard: There is no s3://.*/nothing"):
        files.read(bucket / "nothing")
    assert files.entries(bucket) == [] and not (bucket / "nothing").exists() and not bucket.is_dir()
