"""The index of a part: one row an utterance, Parquet, zstd, with page checksums that are written and verified.

On disk `text_normalized` is null where it is `text`, which is the most of it; whoever reads through `decode_table` sees it filled in.
"""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance, Rejection
from valle_data.shards.base import Member

ARROW_TYPES = {"float": pa.float32(), "text": pa.string()}

CORE = pa.schema(
    [
        pa.field("utt_id", pa.string(), nullable=False),
        pa.field("planned_id", pa.string()),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("part_id", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("nbytes", pa.int32(), nullable=False),
        pa.field("crc32", pa.uint32(), nullable=False),
        pa.field("num_frames", pa.int32(), nullable=False),
        pa.field("duration_s", pa.float32(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("speaker", pa.string(), nullable=False),
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("source_digest", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("sample_rate_hz", pa.int32(), nullable=False),
        pa.field("channel", pa.int8()),
        pa.field("language", pa.string(), nullable=False),
        pa.field("language_prob", pa.float32()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("text_normalized", pa.string(), nullable=False),
        pa.field("phones", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False),
        pa.field("num_phones", pa.int32(), nullable=False),
        pa.field("codec", pa.string(), nullable=False),
        pa.field("num_levels", pa.int8(), nullable=False),
        pa.field("reject_mask", pa.uint32(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("config_hash", pa.string(), nullable=False),
    ]
)

"""The columns every index has; the scores of the stages that ran come behind them."""

VECTOR_COLUMNS = ("utt_id", "vector")
COMPRESSION_LEVEL = 9
_SORTED = {"utt_id": "DELTA_BYTE_ARRAY", "source_uri": "DELTA_BYTE_ARRAY", "offset": "DELTA_BINARY_PACKED"}
_NEVER_TWICE = frozenset(("crc32", "source_digest", "fingerprint", "text", "text_normalized"))

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("utt_id", pa.string()),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("attempts", pa.int16(), nullable=False),
    ]
)


def index_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The schema of an index with these score columns (name -> "float" or "text"), all of them nullable."""
    schema = CORE
    for name, kind in columns.items():
        if name in CORE.names:
            continue  # a stage may fill in a column that every index has, such as language_prob
        schema = schema.append(pa.field(name, ARROW_TYPES[kind]))
    return schema


def score_columns(schema: pa.Schema) -> dict[str, str]:
    """The score columns of an index and their types, in order."""
    kinds = {arrow: kind for kind, arrow in ARROW_TYPES.items()}
    return {field.name: kinds[field.type] for field in schema if field.name not in CORE.names and field.type in kinds}


@dataclass(frozen=True)
class PartIdentity:
    """What every row of a part shares. `part` numbers it; `part_id` and the hashes say of what input and configuration it was made.

    `columns` are the scores that the stages write, as in `index_schema`.
    """

    part: int
    part_id: str
    input_hash: str
    config_hash: str
    codec: str
    columns: Mapping[str, str] = field(default_factory=dict)


def printable(text: str) -> str:
    """`text` with bytes that are no UTF-8 (surrogate escapes in file names) written as \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def index_table(identity: PartIdentity, shard: str, utterances: Sequence[CodedUtterance], members: Sequence[Member]) -> pa.Table:
    """The rows of a part, in the order of `utterances`."""
    rows = [_row(identity, shard, coded, member) for coded, member in zip(utterances, members, strict=True)]
    return pa.Table.from_pylist(rows, schema=index_schema(identity.columns))


def _row(identity: PartIdentity, shard: str, coded: CodedUtterance, member: Member) -> dict[str, Any]:
    utterance, audio = coded.utterance, coded.utterance.audio
    return {
        "utt_id": utterance.id,
        "planned_id": coded.planned_id,
        "part": identity.part,
        "part_id": identity.part_id,
        "shard": shard,
        "offset": member.offset,
        "nbytes": member.nbytes,
        "crc32": member.crc32,
        "num_frames": coded.codes.shape[1],
        "duration_s": coded.duration_s,
        "corpus": utterance.corpus,
        "group": utterance.group,
        "speaker": utterance.speaker,
        "source_uri": printable(audio.path),
        "source_digest": coded.source_digest,
        "start_s": audio.start_s,
        "end_s": audio.start_s + coded.duration_s,
        "sample_rate_hz": coded.source_sample_rate_hz,
        "channel": audio.channel,
        "language": utterance.language,
        "text": utterance.text,
        "text_normalized": coded.text_normalized,
        "phones": list(coded.phones),
        "num_phones": len(coded.phones),
        "codec": identity.codec,
        "num_levels": coded.codes.shape[0],
        "reject_mask": 0,
        "split": None,
        "licence": utterance.extra.get("licence"),
        "config_hash": identity.config_hash,
        **{name: coded.scores.get(name) for name in ("language_prob", *identity.columns)},
    }


def vector_table(vectors: Mapping[str, NDArray[np.float32]]) -> pa.Table:
    """Vectors `[D]` by utterance id as rows `utt_id`, `vector` (float16), sorted by id."""
    names = sorted(vectors)
    stacked = np.stack([vectors[name] for name in names]).astype(np.float16)
    values = pa.FixedSizeListArray.from_arrays(pa.array(stacked.reshape(-1)), stacked.shape[1])
    return pa.table([pa.array(names, pa.string()), values], names=list(VECTOR_COLUMNS))


def quarantine_table(part: int, rejections: Sequence[Rejection]) -> pa.Table:
    """Rows sorted by path, then utterance, then reason, so that the order of work leaves no trace."""
    ordered = sorted(rejections, key=lambda r: (printable(r.path), r.utterance or "", r.reason, r.message))
    rows = [
        {
            "utt_id": rejection.utterance,
            "part": part,
            "path": printable(rejection.path),
            "stage": rejection.stage,
            "reason": str(rejection.reason),
            "message": printable(rejection.message),
            "fingerprint": rejection.fingerprint,
            "attempts": rejection.attempts,
        }
        for rejection in ordered
    ]
    return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


def write_options(schema: pa.Schema) -> dict[str, Any]:
    """How tables are written: what never repeats goes without a dictionary, sorted columns as differences, floats split by byte. A third smaller."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    direct = _NEVER_TWICE | _SORTED.keys() | set(floats)
    lists = {field.name: f"{field.name}.list.element" for field in schema if pa.types.is_list(field.type)}
    return {
        "compression": "zstd",
        "compression_level": COMPRESSION_LEVEL,
        "write_page_checksum": True,
        "use_dictionary": [lists.get(name, name) for name in schema.names if name not in direct],
        "use_byte_stream_split": floats,
        "column_encoding": {name: encoding for name, encoding in _SORTED.items() if name in schema.names},
    }


def pack(table: pa.Table) -> pa.Table:
    """An index as it is stored; other tables are left alone."""
    if not _has_texts(table.schema):
        return table
    same = pc.equal(table["text"], table["text_normalized"])
    return _with_normalized(table, pc.if_else(same, pa.scalar(None, pa.string()), table["text_normalized"]), nullable=True)


def unpack(table: pa.Table) -> pa.Table:
    """An index as it is used: the reverse of `pack`."""
    if not _has_texts(table.schema):
        return table
    return _with_normalized(table, pc.coalesce(table["text_normalized"], table["text"]), nullable=False)


def _has_texts(schema: pa.Schema) -> bool:
    return all(name in schema.names and schema.field(name).type.equals(pa.string()) for name in ("text", "text_normalized"))


def _with_normalized(table: pa.Table, values: pa.ChunkedArray, *, nullable: bool) -> pa.Table:
    return table.set_column(table.schema.get_field_index("text_normalized"), pa.field("text_normalized", pa.string(), nullable=nullable), values)


def encode_table(table: pa.Table) -> bytes:
    """The bytes of a Parquet file with page checksums; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    packed = pack(table)
    pq.write_table(packed, sink, **write_options(packed.schema))
    return sink.getvalue().to_pybytes()


def decode_table(data: bytes, *, path: Path, schema: pa.Schema | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """A table from the bytes of the file at `path`, page checksums verified; `schema`, where given, must be the file's.

    With `columns` only those are decoded, and come in this order.
    """
    wanted = None if columns is None else [*columns, *({"text"} - {*columns} if "text_normalized" in columns else ())]
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        _refuse_extensions(file.schema_arrow, path)
        _refuse_strange(file.schema_arrow, path, schema)
        table = file.read(wanted, use_threads=False)
        table.validate(full=True)
        table = unpack(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{path} is damaged or not Parquet: {str(error).splitlines()[0]}") from error
    return table if columns is None else table.select(list(columns))


def _refuse_strange(found: pa.Schema, path: Path, schema: pa.Schema | None) -> None:
    if schema is None:
        return
    found = _as_written(unpack(found.empty_table()).schema, schema)
    if not found.equals(schema):
        raise InputError(
            ReasonCode.DATASET_MISMATCH, f"{path} has other columns than this version writes: {_difference(found, schema)}. Prepare the data again."
        )


def _as_written(found: pa.Schema, expected: pa.Schema) -> pa.Schema:
    """`found`; of an index, without its score columns."""
    scores = score_columns(found) if expected is CORE else {}
    return pa.schema([field for field in found if field.name not in scores or not field.nullable])


def _refuse_extensions(schema: pa.Schema, path: Path) -> None:
    """Extension types carry bytes for a deserialiser of their own, often a pickle; pyarrow runs none that is not registered, and we want none at all."""
    for column in schema:
        if isinstance(column.type, pa.BaseExtensionType) or b"ARROW:extension:name" in (column.metadata or {}):
            raise InputError(
                ReasonCode.UNSAFE_MEMBER, f"{path}: column {column.name!r} has an extension type; an index has plain columns only. It was not evaluated."
            )


def _difference(found: pa.Schema, expected: pa.Schema) -> str:
    ours: Mapping[str, pa.Field] = {field.name: field for field in expected}
    theirs: Mapping[str, pa.Field] = {field.name: field for field in found}
    missing, extra = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    changed = sorted(name for name in ours.keys() & theirs.keys() if not ours[name].equals(theirs[name]))
    parts = [f"{word} {', '.join(names)}" for word, names in (("missing", missing), ("unknown", extra), ("of another type", changed)) if names]
    return "; ".join(parts) or "another order"
