"""The index: small, exact, and never silently wrong."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.shard_dummies import coded, identity, read_index, samples, write_index
from valle_data.errors import InputError, ReasonCode
from valle_data.records import Rejection
from valle_data.shards.index import CORE, QUARANTINE_SCHEMA, encode_table, index_table, printable, quarantine_table
from valle_data.shards.tar import TarShard


def table(count: int) -> pa.Table:
    utterances = [coded(f"u{index:04}", num_frames=index % 50) for index in range(count)]
    return index_table(identity(), "part-000000.tar", utterances, TarShard().encode(samples(utterances)).members)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_it_reads_back_as_written_also_by_plain_pyarrow(count: int, tmp_path: Path) -> None:
    rows = table(count)
    write_index(tmp_path / "i.parquet", rows)
    assert read_index(tmp_path / "i.parquet").equals(rows)
    assert pq.read_table(tmp_path / "i.parquet").schema.names == [*CORE.names, "rms_dbfs", "peak_dbfs"]


def test_the_row_says_what_it_should(tmp_path: Path) -> None:
    row = table(3).to_pylist()[2]
    assert row["utt_id"] == "u0002" and row["num_frames"] == 2 and row["duration_s"] == pytest.approx(0.08)
    assert row["source_uri"] == "corpus/u0002.wav" and row["sample_rate_hz"] == 16000
    assert row["phones"] == list("wˈʌn") and row["num_phones"] == 4 and row["num_levels"] == 8
    assert row["rms_dbfs"] == -20.0 and row["reject_mask"] == 0 and row["split"] is None


def test_the_same_table_gives_the_same_bytes() -> None:
    assert encode_table(table(20)) == encode_table(table(20))


def test_another_schema_is_refused_with_the_columns(tmp_path: Path) -> None:
    write_index(tmp_path / "i.parquet", table(2).drop_columns(["crc32"]).append_column("extra", pa.array([1, 2])))
    with pytest.raises(InputError, match="missing crc32; unknown extra") as caught:
        read_index(tmp_path / "i.parquet")
    assert caught.value.reason is ReasonCode.DATASET_MISMATCH


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html>" * 50])
def test_what_is_no_parquet_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "i.parquet").write_bytes(content)
    with pytest.raises(InputError, match="is damaged or not Parquet") as caught:
        read_index(tmp_path / "i.parquet")
    assert caught.value.reason is ReasonCode.CORRUPT_SHARD


def test_null_ids_are_refused(tmp_path: Path) -> None:
    rows = table(2).to_pylist()
    rows[1]["utt_id"] = None
    with pytest.raises((InputError, pa.ArrowInvalid)):
        write_index(tmp_path / "i.parquet", pa.Table.from_pylist(rows, schema=CORE))
        read_index(tmp_path / "i.parquet")


def test_quarantine_rows_are_sorted_and_undecodable_names_are_kept_readable() -> None:
    rejections = [
        Rejection("b", "z.wav", "decode", ReasonCode.NOT_AUDIO, "empty", "f1"),
        Rejection(None, "a\udcff.wav", "list", ReasonCode.UNMATCHED_PATH, "a\udcff.wav does not fit", "f2"),
    ]
    rows = quarantine_table(4, rejections)
    assert rows.schema.equals(QUARANTINE_SCHEMA) and rows.equals(quarantine_table(4, rejections[::-1]))
    assert rows.to_pylist()[0] == {
        "utt_id": None,
        "part": 4,
        "path": r"a\xff.wav",
        "stage": "list",
        "reason": "unmatched_path",
        "message": r"a\xff.wav does not fit",
        "fingerprint": "f2",
        "attempts": 1,
    }
    assert printable("plain ü") == "plain ü"


def test_extension_types_are_refused_unevaluated(tmp_path: Path) -> None:
    rows = table(2)
    pickled = b"cos\nsystem\n(S'touch evaluated'\ntR."
    sneaky = pa.field("text", pa.string(), nullable=False, metadata={b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickled})
    write_index(tmp_path / "i.parquet", rows.set_column(rows.schema.get_field_index("text"), sneaky, rows["text"]))
    with pytest.raises(InputError, match="column 'text' has an extension type") as caught:
        read_index(tmp_path / "i.parquet")
    assert caught.value.reason is ReasonCode.UNSAFE_MEMBER
    assert not Path("evaluated").exists()
