"""`valle metadata --check`: every kind of damage is named, and nothing is ever changed."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines import metadata
from pipelines.console import Console
from pipelines.metadata_commands import duplicates
from tests.shard_dummies import add_part, coded, empty_dataset, identity, read_index, samples
from valle_data.errors import ExitCode, ReasonCode
from valle_data.records import Rejection
from valle_data.shards.base import index_path, quarantine_path, record_path, shard_path
from valle_data.shards.commit import commit_part, load_record
from valle_data.shards.index import encode_table
from valle_data.shards.tar import TarShard


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = empty_dataset(tmp_path / "set")
    for part in range(3):
        add_part(folder, part, num_utterances=3, rejections=[Rejection("x", "a.wav", "decode", ReasonCode.SILENT_AUDIO, "all zeros")])
    return folder


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def check(dataset: Path) -> tuple[ExitCode, list[dict], list[dict]]:
    """Exit code, rows of the table of problems, and all events; fails if anything in the folder changed."""
    before, stdout = state(dataset), io.StringIO()
    code = metadata.run(dataset, console=Console(as_json=True, stdout=stdout), check=True)
    assert state(dataset) == before
    events = [json.loads(line) for line in stdout.getvalue().splitlines()]
    rows = [row for event in events if event["event"] == "table" for row in event["rows"]]
    assert (code is ExitCode.RUN_FAILED) == bool(rows)
    return code, rows, events


def named(rows: list[dict]) -> set[tuple[str, str, str | None]]:
    return {(row["part"], row["reason"], row["utterance"]) for row in rows}


def recommit(dataset: Path, part: int, change: Callable[[pa.Table], pa.Table], change_shard: Callable[[bytes], bytes] = lambda data: data) -> None:
    """Change the index and shard of a part and sign them again, as a foreign tool would that knows the hashes."""
    record = load_record(record_path(dataset, part))
    index = encode_table(change(read_index(index_path(dataset, part))))
    shard = change_shard(shard_path(dataset, part).read_bytes())
    index_path(dataset, part).write_bytes(index)
    shard_path(dataset, part).write_bytes(shard)
    record = replace(record, index_sha256=hashlib.sha256(index).hexdigest(), shard_sha256=hashlib.sha256(shard).hexdigest(), shard_bytes=len(shard))
    record_path(dataset, part).write_bytes(record.to_bytes())


def put(table: pa.Table, column: str, row: int, value: object, kind: pa.DataType | None = None) -> pa.Table:
    """`table` with one value replaced (and, with `kind`, the column's type)."""
    values = table[column].to_pylist()
    values[row] = value
    if kind is not None:
        values = [None if item is None else str(item) for item in values]
    kind = kind or table.schema.field(column).type
    field = pa.field(column, kind, nullable=value is None or table.schema.field(column).nullable)
    return table.set_column(table.schema.get_field_index(column), field, pa.array(values, kind))


def test_a_whole_data_set_is_said_to_be_whole(dataset: Path) -> None:
    code, rows, events = check(dataset)
    assert (code, rows) == (ExitCode.DONE, [])
    assert "is whole: 3 parts, 9 utterances" in events[-1]["message"]


def test_an_empty_data_set_is_whole(tmp_path: Path) -> None:
    assert check(empty_dataset(tmp_path / "set"))[0] is ExitCode.DONE


def test_no_shards_folder(dataset: Path) -> None:
    for path in (dataset / "shards").iterdir():
        path.unlink()
    (dataset / "shards").rmdir()
    assert named(check(dataset)[1]) == {("-", "missing_shard", None)}


def test_a_bit_flip_in_codes_names_shard_utterance_expected_and_actual(dataset: Path) -> None:
    path = shard_path(dataset, 1)
    row = read_index(index_path(dataset, 1)).to_pylist()[2]
    data = bytearray(path.read_bytes())
    data[row["offset"] + 150] ^= 16
    path.write_bytes(data)
    rows = check(dataset)[1]
    assert ("part-000001", "corrupt_shard", "p1-u2") in named(rows) and {row["part"] for row in rows} == {"part-000001"}
    message = next(row for row in rows if row["utterance"])["what is expected and what is there"]
    assert str(path) in message and f"should have crc32 {row['crc32']:08x}, they have" in message


@pytest.mark.parametrize("path_of", [shard_path, index_path, quarantine_path, record_path])
@pytest.mark.parametrize("fault", ["flip", "cut", "empty", "missing", "swapped"])
def test_every_fault_of_every_file_is_found(dataset: Path, path_of: Callable[[Path, int], Path], fault: str) -> None:
    path, other = path_of(dataset, 1), path_of(dataset, 2)
    data = path.read_bytes()
    if fault == "missing":
        path.unlink()
    else:
        middle = len(data) // 2
        changed = {"flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], "cut": data[:middle], "empty": b"", "swapped": other.read_bytes()}[
            fault
        ]
        path.write_bytes(changed)
        if fault == "swapped":
            other.write_bytes(data)
    rows = check(dataset)[1]
    assert {row["part"] for row in rows} <= {"part-000001", "part-000002"}
    assert {row["reason"] for row in rows} <= {"corrupt_shard", "missing_shard", "foreign_shard", "bad_row", "unsafe_member"} and rows


def test_files_of_no_part_are_named(dataset: Path) -> None:
    (dataset / "shards" / "part-000009.tar").write_bytes(b"x")
    (dataset / "shards" / "notes.txt").write_text("x")
    rows = check(dataset)[1]
    assert {row["reason"] for row in rows} == {"foreign_shard"} and len(rows) == 2


def test_a_part_of_another_data_set_is_named(dataset: Path, tmp_path: Path) -> None:
    other = empty_dataset(tmp_path / "other")
    commit_part(other, replace(identity(8, "id8"), config_hash="d" * 64), [coded("q")], [], TarShard())
    for path_of in (shard_path, index_path, record_path):
        path_of(dataset, 8).write_bytes(path_of(other, 8).read_bytes())
    assert ("part-000008", "foreign_shard", None) in named(check(dataset)[1])


@pytest.mark.parametrize(
    ("column", "value", "kind", "sentence"),
    [
        ("utt_id", None, None, "row 1, column utt_id: expected a value, found null"),
        ("speaker", None, None, "row 1, column speaker: expected a value, found null"),
        ("duration_s", "1.5", pa.string(), "column duration_s holds string, it should hold float"),
        ("utt_id", "../../etc", None, "row 1, column utt_id: expected 1 to 90 of a-z A-Z 0-9 _ -, found '../../etc'"),
        ("utt_id", "p1-u0", None, "row 1, column utt_id: expected an id that no other row has, in sorted order, found 'p1-u0'"),
        ("num_frames", 0, None, "row 1, column num_frames: expected at least 1, found 0"),
        ("num_levels", 4, None, "row 1, column num_levels: expected 8, the levels of mini, found 4"),
        ("offset", 10**9, None, "row 1, column offset: expected a multiple of 512 inside the"),
        ("nbytes", -1, None, "row 1, column nbytes: expected the size of num_levels x num_frames codes, found -1"),
        ("duration_s", float("nan"), None, "row 1, column duration_s: expected a finite number above 0, found nan"),
        ("duration_s", 9.0, None, "row 1, column num_frames: expected duration_s at 25 frames/s, within 2 frames, found 6"),
        ("end_s", 3.0, None, "row 1, column end_s: expected start_s + duration_s, found 3.0"),
        ("num_phones", 7, None, "row 1, column num_phones: expected the number of phones, found 7"),
        ("phones", ["w", "ʒ"], None, "row 1, column phones: expected phones of the data set's vocabulary, found ['w', 'ʒ']"),
        ("codec", "dac", None, "row 1, column codec: expected mini, found 'dac'"),
        ("shard", "part-000002.tar", None, "row 1, column shard: expected part-000001.tar, found 'part-000002.tar'"),
    ],
)
def test_a_bad_row_is_named_with_its_column_although_every_hash_agrees(
    dataset: Path, column: str, value: object, kind: pa.DataType | None, sentence: str
) -> None:
    recommit(dataset, 1, lambda table: put(table, column, 1, value, kind))
    rows = check(dataset)[1]
    assert any(f"{index_path(dataset, 1)}: {sentence}" in row["what is expected and what is there"] for row in rows), rows
    assert {row["part"] for row in rows} == {"part-000001"}


def test_missing_and_unknown_columns_are_named(dataset: Path) -> None:
    recommit(dataset, 1, lambda table: table.rename_columns(["id" if name == "utt_id" else name for name in table.column_names]))
    sentences = " ".join(row["what is expected and what is there"] for row in check(dataset)[1])
    assert "column utt_id is missing, it should hold string." in sentences and "column id is unknown to this version." in sentences


def test_many_bad_rows_are_summed_up(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    add_part(folder, 0, num_utterances=15)
    recommit(folder, 0, lambda table: table.set_column(table.schema.get_field_index("codec"), table.schema.field("codec"), pa.array(["dac"] * 15)))
    messages = [row["what is expected and what is there"] for row in check(folder)[1]]
    assert sum("column codec: expected mini" in message for message in messages) == 10 and any("5 more rows like these" in message for message in messages)


def test_a_row_without_audio_and_audio_without_a_row(dataset: Path) -> None:
    recommit(dataset, 0, lambda table: table.slice(0, 2))
    more = [coded(f"p1-u{index}", num_frames=5 + index, seed=1) for index in range(2)]
    recommit(dataset, 1, lambda table: table, lambda _: TarShard().encode(samples(more)).data)
    found = named(check(dataset)[1])
    assert ("part-000000", "corrupt_shard", None) in found
    assert ("part-000001", "corrupt_shard", "p1-u2") in found


def test_codes_of_another_codec_are_out_of_range(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    strange = coded("b")
    codes = np.array(strange.codes)
    codes[3, 2] = 1024
    commit_part(folder, identity(), [coded("a"), replace(strange, codes=codes)], [], TarShard())
    (row,) = check(folder)[1]
    assert (row["reason"], row["utterance"]) == ("code_out_of_range", "b")
    assert "has the code 1024; the codebooks of codec 'mini' (aaaaaaaaaaaa) end at 1023" in row["what is expected and what is there"]


def test_an_utterance_in_two_parts(dataset: Path) -> None:
    commit_part(dataset, identity(5, "id5"), [coded("p0-u0")], [], TarShard())
    assert ("part-000005", "duplicate_id", "p0-u0") in named(check(dataset)[1])


def made(dataset: Path) -> Path:
    metadata.run(dataset, console=Console(as_json=True, stdout=io.StringIO()), report=False)
    return dataset / "metadata"


@pytest.mark.parametrize("name", ["index.parquet", "splits.parquet", "speakers.parquet", "groups.parquet", "stats.json"])
def test_damaged_metadata_is_named(dataset: Path, name: str) -> None:
    path = made(dataset) / name
    assert check(dataset)[0] is ExitCode.DONE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (row,) = check(dataset)[1]
    assert (row["part"], row["reason"]) == ("-", "corrupt_shard") and name in row["what is expected and what is there"]
    if name != "stats.json":
        path.unlink()
        assert named(check(dataset)[1]) == {("-", "missing_shard", None)}


def test_metadata_of_fewer_parts_is_a_warning_only(dataset: Path) -> None:
    made(dataset)
    add_part(dataset, 3)
    code, _, events = check(dataset)
    assert code is ExitCode.DONE
    assert any("was made from other parts than there are now" in event.get("message", "") for event in events)


@pytest.mark.parametrize("name", ["duplicates.parquet", "tables.json"])
@pytest.mark.parametrize("fault", ["flip", "cut", "empty"])
def test_damaged_tables_of_sub_commands_are_named(dataset: Path, name: str, fault: str) -> None:
    path = made(dataset) / name
    duplicates.run(dataset, console=Console(as_json=True, stdout=io.StringIO()), by=["text"])
    assert check(dataset)[0] is ExitCode.DONE
    data = path.read_bytes()
    for at in {"flip": range(0, len(data), 97), "cut": [len(data) - 3], "empty": [0]}[fault]:
        path.write_bytes(data[:at] + (bytes([data[at] ^ 1]) + data[at + 1 :] if fault == "flip" else b""))
        (row,) = check(dataset)[1]
        assert (row["part"], row["reason"]) == ("-", "corrupt_shard") and name in row["what is expected and what is there"]
    (dataset / "metadata" / "duplicates.parquet").unlink()
    (dataset / "metadata" / "tables.json").write_bytes(data if name == "tables.json" else (dataset / "metadata" / "tables.json").read_bytes())
    assert check(dataset)[0] is ExitCode.DONE
