"""The commit protocol: whole or not at all, first come first kept, and no damage goes unseen."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.shard_dummies import add_part, coded, empty_dataset, identity, manifest
from valle_data.errors import InputError, ReasonCode
from valle_data.records import Rejection
from valle_data.shards.base import index_path, record_path, shard_path, side_path
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import check_part, commit_part, committed_parts, read_part_index, read_quarantine, read_vectors
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.tar import TarShard, read_member

REFUSED = [Rejection("bad", "bad.wav", "decode", ReasonCode.NOT_AUDIO, "bad.wav is empty", "f")]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return empty_dataset(tmp_path / "set")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_no_part_one_part_many_parts(dataset: Path) -> None:
    assert committed_parts(dataset) == []
    records = [add_part(dataset, part, num_utterances=part, rejections=REFUSED) for part in (2, 0, 1)]
    assert committed_parts(dataset) == sorted(records, key=lambda record: record.part)
    assert [record.num_utterances for record in committed_parts(dataset)] == [0, 1, 2]
    assert check_dataset(dataset) == []
    assert read_part_index(dataset, records[0])["utt_id"].to_pylist() == ["p2-u0", "p2-u1"]
    assert read_quarantine(dataset, records[0]).num_rows == records[0].num_quarantined == 1


def test_order_of_work_leaves_no_trace(dataset: Path, tmp_path: Path) -> None:
    other = empty_dataset(tmp_path / "other")
    utterances = [coded(f"u{index}", num_frames=index) for index in range(9)]
    commit_part(dataset, identity(), utterances, REFUSED, TarShard())
    commit_part(other, identity(), random.Random(1).sample(utterances, 9), REFUSED, TarShard())
    assert tree(dataset) == tree(other)


def test_a_second_finisher_changes_nothing(dataset: Path) -> None:
    first = add_part(dataset, 0)
    before = tree(dataset)
    assert add_part(dataset, 0) == first
    assert tree(dataset) == before


def test_a_second_finisher_with_another_result_is_refused(dataset: Path) -> None:
    add_part(dataset, 0)
    before = tree(dataset)
    with pytest.raises(InputError, match="Two different runs wrote to one folder") as caught:
        commit_part(dataset, identity(0, "other"), [coded("x")], REFUSED, TarShard())
    assert caught.value.reason is ReasonCode.DATASET_MISMATCH
    assert tree(dataset) == before and check_dataset(dataset) == []


def test_files_without_a_record_do_not_exist(dataset: Path) -> None:
    record = add_part(dataset, 0)
    record_path(dataset, 0).unlink()
    assert committed_parts(dataset) == []
    assert {problem.reason for problem in check_dataset(dataset)} == {ReasonCode.FOREIGN_SHARD}
    assert add_part(dataset, 0) == record and check_dataset(dataset) == []


@pytest.mark.parametrize("suffix", ["tar", "parquet", "json"])
def test_flipped_bits_are_never_silent(dataset: Path, suffix: str) -> None:
    record = add_part(dataset, 0, num_utterances=8)
    path = dataset / "shards" / f"part-000000.{suffix}"
    original = path.read_bytes()
    generator = random.Random(suffix)  # 210 places in all
    for _ in range(70):
        data = bytearray(original)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        assert [p for p in check_dataset(dataset) if p.part == 0], "a flipped bit went unseen"
    path.write_bytes(original)
    assert check_part(dataset, record) == []


def test_a_flipped_bit_in_codes_names_the_utterance_and_the_rest_stays_readable(dataset: Path) -> None:
    record = add_part(dataset, 3)
    rows = read_part_index(dataset, record).to_pylist()
    path = shard_path(dataset, 3)
    data = bytearray(path.read_bytes())
    data[rows[1]["offset"] + 130] ^= 1
    path.write_bytes(data)
    problems = check_part(dataset, record)
    assert [(p.reason, p.part, p.utterance) for p in problems] == [(ReasonCode.CORRUPT_SHARD, 3, None), (ReasonCode.CORRUPT_SHARD, 3, "p3-u1")]
    assert "sha256" in problems[0].message and "should have crc32" in problems[1].message
    read = [read_member(path, row["offset"], row["nbytes"], row["crc32"]) for row in (rows[0], rows[2])]
    assert len(read) == 2


def test_every_truncation_is_seen(dataset: Path) -> None:
    record = add_part(dataset, 0)
    path = shard_path(dataset, 0)
    original = path.read_bytes()
    for length in range(0, len(original), 997):
        path.write_bytes(original[:length])
        assert check_part(dataset, record)


def test_missing_files_are_reported(dataset: Path) -> None:
    record = add_part(dataset, 0, rejections=REFUSED)
    for path in (shard_path(dataset, 0), index_path(dataset, 0), dataset / "quarantine" / "part-000000.parquet"):
        content = path.read_bytes()
        path.unlink()
        assert [(p.reason, p.path) for p in check_part(dataset, record)] == [(ReasonCode.MISSING_SHARD, str(path))]
        path.write_bytes(content)


def test_swapped_parts_are_reported(dataset: Path) -> None:
    for part in (0, 1):
        add_part(dataset, part)
    a, b, c = shard_path(dataset, 0), shard_path(dataset, 1), dataset / "c"
    a.rename(c)
    b.rename(a)
    c.rename(b)
    assert {p.part for p in check_dataset(dataset)} == {0, 1}


def test_a_whole_part_under_another_number_is_reported(dataset: Path) -> None:
    add_part(dataset, 0)
    for suffix in ("tar", "parquet", "json"):
        shutil.copy(dataset / "shards" / f"part-000000.{suffix}", dataset / "shards" / f"part-000005.{suffix}")
    with pytest.raises(InputError, match=r"names the shard 'part-000000\.tar'"):
        committed_parts(dataset)
    assert {p.part for p in check_dataset(dataset)} == {5}


def test_a_part_of_another_data_set_is_reported(dataset: Path) -> None:
    commit_part(dataset, replace(identity(), config_hash="d" * 64), [coded("u")], [], TarShard())
    problems = check_dataset(dataset)
    assert [p.reason for p in problems] == [ReasonCode.FOREIGN_SHARD] and "comes from another data set" in problems[0].message


def test_an_utterance_in_two_parts_is_reported(dataset: Path) -> None:
    for part in (0, 1):
        commit_part(dataset, identity(part, f"id{part}"), [coded("u")], [], TarShard())
    assert [(p.reason, p.utterance) for p in check_dataset(dataset)] == [(ReasonCode.DUPLICATE_ID, "u")]


@pytest.mark.parametrize("name", ["pipe:id > x", "../part-000000.tar", "/part-000000.tar", "part-000000.pkl.tar", None])
def test_a_record_that_names_anything_but_its_shard_is_refused(dataset: Path, name: str | None) -> None:
    add_part(dataset, 0)
    path = record_path(dataset, 0)
    path.write_text(json.dumps({**json.loads(path.read_text()), "shard": name}))
    with pytest.raises(InputError, match="It was not opened") as caught:
        committed_parts(dataset)
    assert caught.value.reason is ReasonCode.UNSAFE_MEMBER


def test_the_manifest_reads_back(dataset: Path) -> None:
    assert DatasetManifest.load(dataset) == manifest()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema_version": 1}, "has schema version 1, this program reads 2"),
        ({"vocabulary": ["w"]}, "the vocabulary has hash"),
        ({"codec": {}}, "is damaged"),
    ],
)
def test_a_foreign_or_damaged_manifest_is_refused(dataset: Path, change: dict[str, object], sentence: str) -> None:
    path = dataset / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=sentence):
        DatasetManifest.load(dataset)


def test_a_folder_that_is_no_data_set_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="valle prepare CONFIG -o"):
        DatasetManifest.load(tmp_path)


def test_vectors_go_to_side_files_and_are_verified(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    vectors = {name: np.linspace(-1, 1, 4, dtype=np.float32) * scale for name, scale in (("b", 1), ("a", 0.5))}
    utterances = [replace(coded(name), vectors={"speaker": vector}) for name, vector in vectors.items()]
    record = commit_part(folder, identity(), [*utterances, coded("c")], [], TarShard())
    table = read_vectors(folder, record, "speaker")
    assert table["utt_id"].to_pylist() == ["a", "b"], "who has none has no row"
    np.testing.assert_allclose(table["vector"].to_pylist()[1], vectors["b"], atol=1e-3)
    assert check_part(folder, record) == []
    with pytest.raises(InputError, match="no 'face' vectors, only speaker"):
        read_vectors(folder, record, "face")
    path = side_path(folder, 0, "speaker")
    path.write_bytes(path.read_bytes()[:-1])
    assert [problem.path for problem in check_part(folder, record)] == [str(path)]
