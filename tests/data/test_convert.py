"""Another format and back is the same data set, to the byte; a killed conversion goes on where it was."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines import convert as command
from pipelines.console import Console
from tests.shard_dummies import add_part, coded, empty_dataset, identity
from valle_data.dataset import Dataset
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.records import Rejection
from valle_data.shards.base import index_path, record_path, shard_path
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import commit_part, committed_parts, read_part_index, read_vectors
from valle_data.shards.convert import convert
from valle_data.shards.tar import TarShard

REFUSED = [Rejection("bad", "bad.wav", "decode", ReasonCode.NOT_AUDIO, "bad.wav is empty", "f")]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Parts of 0, 1 and 5 utterances, one with refusals, one with vectors, and a plan."""
    folder = empty_dataset(tmp_path / "set")
    add_part(folder, 0, num_utterances=0, rejections=REFUSED)
    add_part(folder, 1, num_utterances=1)
    vectors = [replace(coded(f"v{i}", num_frames=9 + i, seed=i), vectors={"speaker": np.full(4, i, np.float32)}) for i in range(5)]
    commit_part(folder, identity(7, "id7"), vectors, REFUSED, TarShard())
    (folder / "plan").mkdir()
    (folder / "plan/plan-000000.parquet").write_bytes(b"a plan")
    (folder / "prepare.yaml").write_text("codec: mini\n")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_there_and_back_is_the_same(dataset: Path, tmp_path: Path) -> None:
    assert convert(dataset, tmp_path / "h5", "hdf5") == 3
    assert sorted(path.name for path in (tmp_path / "h5/shards").glob("*.h5")) == [f"part-{part:06d}.h5" for part in (0, 1, 7)]
    assert check_dataset(tmp_path / "h5") == []
    convert(tmp_path / "h5", tmp_path / "tar", "tar")
    assert tree(tmp_path / "tar") == tree(dataset)


def test_rows_codes_and_vectors_are_carried_over(dataset: Path, tmp_path: Path) -> None:
    convert(dataset, tmp_path / "h5", "hdf5")
    before, after = Dataset.open(dataset), Dataset.open(tmp_path / "h5")
    assert len(before) == len(after) == 6
    assert all(np.array_equal(before.codes(row), after.codes(row)) for row in range(6))
    moved = ["shard", "offset", "nbytes", "crc32"]
    for old, new in zip(committed_parts(dataset), committed_parts(tmp_path / "h5"), strict=True):
        assert read_part_index(dataset, old).drop_columns(moved).equals(read_part_index(tmp_path / "h5", new).drop_columns(moved))
        assert (old.sides, old.quarantine_sha256, old.num_frames, old.duration_s) == (new.sides, new.quarantine_sha256, new.num_frames, new.duration_s)
    assert read_vectors(tmp_path / "h5", committed_parts(tmp_path / "h5")[2], "speaker").num_rows == 5


def test_a_conversion_goes_on_where_it_was(dataset: Path, tmp_path: Path) -> None:
    convert(dataset, tmp_path / "whole", "hdf5")
    seen = []

    def stop(record) -> None:
        seen.append(record.part)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(dataset, tmp_path / "h5", "hdf5", stop)
    kept = record_path(tmp_path / "h5", 0).stat()
    convert(dataset, tmp_path / "h5", "hdf5")
    assert tree(tmp_path / "h5") == tree(tmp_path / "whole")
    assert record_path(tmp_path / "h5", 0).stat().st_mtime_ns == kept.st_mtime_ns


@pytest.mark.parametrize("path_of", [shard_path, index_path])
def test_a_damaged_part_is_not_converted(dataset: Path, tmp_path: Path, path_of) -> None:
    path = path_of(dataset, 7)
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"corrupt_shard.*part-000007"):
        convert(dataset, tmp_path / "h5", "hdf5")
    assert [record.part for record in committed_parts(tmp_path / "h5")] == [0, 1]


def test_a_folder_with_something_else_is_refused(dataset: Path, tmp_path: Path) -> None:
    other = empty_dataset(tmp_path / "other")
    commit_part(other, identity(1, "another"), [coded("x")], [], TarShard())
    with pytest.raises(InputError, match="has another part-000001, of part id another"):
        convert(dataset, other, "hdf5")
    (other / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="holds another data set"):
        convert(dataset, other, "hdf5")
    with pytest.raises(UsageError, match="cannot be converted into itself"):
        convert(dataset, dataset, "hdf5")


def test_the_command_says_what_it_did(dataset: Path, tmp_path: Path) -> None:
    said = io.StringIO()
    assert command.run(dataset, tmp_path / "h5", shards="hdf5", console=Console(stdout=said, as_json=True)) is ExitCode.DONE
    assert "Converted 3 parts, 6 utterances" in said.getvalue()
    with pytest.raises(UsageError, match=r"no shard format 'hdf'. Did you mean 'hdf5'\?"):
        command.run(dataset, tmp_path / "x", shards="hdf", console=Console(stdout=said, as_json=True))
    assert not (tmp_path / "x").exists()
