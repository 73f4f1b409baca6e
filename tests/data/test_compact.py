"""Merged records and indices: the same data set, opened from few files, and never in the place of what has changed."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.shard_dummies import add_part, coded, empty_dataset, identity, manifest, write_index
from valle_data.dataset import Dataset
from valle_data.errors import InputError, ReasonCode
from valle_data.shards import SHARDS
from valle_data.shards.base import index_path, record_path, shard_path
from valle_data.shards.commit import commit_part, committed_parts
from valle_data.shards.compact import PARTS, ROWS, STAMP, compact, load_compact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Parts of 0, 1, 2 and 3 utterances in both formats, of several speakers."""
    folder = empty_dataset(tmp_path / "set")
    for part in range(4):
        members = [coded(f"p{part}-u{i}", num_frames=5 + i, seed=part, speaker=f"s{i % 2}") for i in range(part)]
        commit_part(folder, identity(part, f"id{part}"), members, [], SHARDS["hdf5" if part == 2 else "tar"]())
    return folder


def rows_of(dataset: Dataset) -> list[tuple]:
    return [
        (dataset.utterance_id(row), dataset.speaker(row), dataset.group(row), dataset.phones(row).tolist(), dataset.codes(row).tolist())
        for row in range(len(dataset))
    ]


@pytest.mark.parametrize("split", [None, "train", "validation"])
def test_a_data_set_opens_the_same_from_what_is_merged(folder: Path, split: str | None) -> None:
    (folder / "metadata").mkdir()
    names = [f"p{part}-u{i}" for part in range(4) for i in range(part)]
    write_index(folder / "metadata/splits.parquet", pa.table({"utt_id": names, "split": ["validation" if name.endswith("u1") else "train" for name in names]}))
    before = Dataset.open(folder, split)
    assert compact(folder) == 4 and load_compact(folder, manifest()) is not None
    index_path(folder, 3).rename(folder / "away")  # shows what is read
    after = Dataset.open(folder, split)
    (folder / "away").rename(index_path(folder, 3))
    assert rows_of(before) == rows_of(after) and before.columns.fingerprint == after.columns.fingerprint
    assert (before.speakers, before.groups, before.num_unassigned) == (after.speakers, after.groups, after.num_unassigned)


def test_an_empty_data_set_can_be_merged(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    assert compact(folder) == 0 and len(Dataset.open(folder)) == 0


def test_it_is_ignored_once_a_record_changes(folder: Path) -> None:
    compact(folder)
    add_part(folder, 9)
    assert load_compact(folder, manifest()) is None and len(Dataset.open(folder)) == 9
    compact(folder)
    assert load_compact(folder, manifest()) is not None
    os.utime(record_path(folder, 9))
    assert load_compact(folder, manifest()) is None
    compact(folder)
    record_path(folder, 9).unlink()
    assert len(Dataset.open(folder)) == 6


@pytest.mark.parametrize("name", [PARTS, ROWS, STAMP])
def test_it_is_ignored_when_it_is_damaged(folder: Path, name: str) -> None:
    compact(folder)
    path = folder / "metadata" / name
    original = path.read_bytes()
    for at in range(0, len(original), 53):
        data = bytearray(original)
        data[at] ^= 8
        path.write_bytes(data)
        assert load_compact(folder, manifest()) is None
    path.write_bytes(original[:-7])
    assert len(Dataset.open(folder)) == 6
    path.unlink()
    assert len(Dataset.open(folder)) == 6


def test_shards_are_looked_at_all_the_same(folder: Path) -> None:
    compact(folder)
    shard_path(folder, 3).write_bytes(shard_path(folder, 3).read_bytes()[:-1])
    with pytest.raises(InputError, match=r"part-000003\.tar has \d+ bytes, its commit record says") as caught:
        Dataset.open(folder)
    assert caught.value.reason is ReasonCode.CORRUPT_SHARD
    shard_path(folder, 3).unlink()
    with pytest.raises(InputError, match=r"missing_shard.*part-000003\.tar is gone"):
        Dataset.open(folder)


def test_damaged_and_foreign_parts_are_not_merged(folder: Path) -> None:
    index = index_path(folder, 1)
    data = bytearray(index.read_bytes())
    data[200] ^= 1
    index.write_bytes(data)
    with pytest.raises(InputError, match=r"corrupt_shard.*part-000001\.parquet"):
        compact(folder)
    data[200] ^= 1
    index.write_bytes(data)
    commit_part(folder, replace(identity(5), config_hash="d" * 64), [coded("x")], [], SHARDS["tar"]())
    with pytest.raises(InputError, match="foreign_shard"):
        compact(folder)
    assert load_compact(folder, manifest()) is None


def test_a_merged_file_is_plain_parquet(folder: Path) -> None:
    compact(folder)
    table = pq.read_table(folder / "metadata" / ROWS)
    assert table["part"].to_pylist() == [1, 2, 2, 3, 3, 3] and np.diff(table["part"].to_numpy()).min() >= 0
    assert pq.read_table(folder / "metadata" / PARTS)["part_id"].to_pylist() == [record.part_id for record in committed_parts(folder)]
