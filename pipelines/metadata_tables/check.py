"""`valle metadata --check`: every byte, row and code of a data set held against what was committed. Reads only.

Files, hashes, counts and members are checked by `valle_data.shards.check`; here come the rows, the codes and `metadata/`.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.metadata_tables.check_rows import row_problems
from pipelines.metadata_tables.gather import inputs_hash
from pipelines.metadata_tables.write import FOLDER, load_hashes, load_stats, sha256_of
from valle_data import files
from valle_data.attribution import NAME as ATTRIBUTION
from valle_data.attribution import load_attribution
from valle_data.errors import InputError, ReasonCode
from valle_data.shards.base import Problem, index_path
from valle_data.shards.check import NO_PART, check_dataset
from valle_data.shards.commit import CommitRecord, load_record
from valle_data.shards.index import decode_table, index_schema
from valle_data.shards.manifest import NAME, DatasetManifest
from valle_data.shards.record import shard_format


@dataclass(frozen=True)
class CheckResult:
    """`problems` is empty for a whole data set; `is_stale`: `metadata/` was made from other parts than there are now."""

    problems: tuple[Problem, ...]
    num_parts: int
    num_utterances: int
    is_stale: bool


def check(dataset: Path, records: list[CommitRecord], looked_at: Callable[[], None] = lambda: None) -> CheckResult:
    """Everything wrong with the data set in `dataset`; `records` are its readable commit records. Raises InputError without a readable `dataset.json`."""
    manifest = DatasetManifest.load(dataset)
    if not (dataset / "shards").is_dir():
        message = f"{dataset} has {NAME} but no folder shards. Restore it, or run `valle prepare` again."
        return CheckResult((Problem(ReasonCode.MISSING_SHARD, NO_PART, str(dataset / "shards"), None, message),), 0, 0, False)
    num_rows: list[int] = []

    def look_closer(record: CommitRecord) -> list[Problem]:
        table, problems = _lenient_index(dataset, record), []
        if table is not None:
            num_rows.append(table.num_rows)
            problems = row_problems(table, index_path(dataset, record.part), manifest, record) + _code_problems(dataset, manifest, record, table)
        looked_at()
        return problems

    problems = check_dataset(dataset, look_closer)
    found, is_stale = _metadata_problems(dataset, manifest, records)
    return CheckResult(tuple(problems + found), len(records), sum(num_rows), is_stale)


def readable_records(dataset: Path) -> list[CommitRecord]:
    """The commit records that can be read; `check_dataset` names the others."""
    records = []
    for path in sorted((dataset / "shards").glob("part-*.json")):
        try:
            records.append(load_record(path))
        except InputError:
            continue
    return records


def _lenient_index(dataset: Path, record: CommitRecord) -> pa.Table | None:
    """The index of a part even if its hash or columns are not as committed, so that its rows can be named; None where nothing can be read of it."""
    path = index_path(dataset, record.part)
    try:
        return decode_table(files.read(path), path=path)
    except InputError:
        return None


def _code_problems(dataset: Path, manifest: DatasetManifest, record: CommitRecord, table: pa.Table) -> list[Problem]:
    """Codes that are no codes of this codec. Members whose bytes are damaged are left to `check_part`."""
    path = dataset / "shards" / record.shard
    if not table.schema.equals(index_schema(manifest.columns)) or not path.is_file():
        return []
    data, problems, shards = memoryview(files.read(path)), [], shard_format(record)
    for row in table.select(["utt_id", "offset", "nbytes", "crc32", "num_frames"]).to_pylist():
        member = data[row["offset"] : row["offset"] + row["nbytes"]]
        if zlib.crc32(member) != row["crc32"]:
            continue
        try:
            codes = shards.codes(member, manifest.codec.num_levels)
        except InputError as error:
            problems.append(Problem(error.reason, record.part, str(path), row["utt_id"], error.args[0]))
            continue
        expected = (manifest.codec.num_levels, row["num_frames"])
        if codes.shape != expected:
            message = f"{path}: the codes of {row['utt_id']} should be {list(expected)}, they are {list(codes.shape)}."
            problems.append(Problem(ReasonCode.BAD_ROW, record.part, str(path), row["utt_id"], message))
        elif codes.size and int(codes.max()) >= manifest.codec.codebook_size:
            message = (
                f"{path}: {row['utt_id']} has the code {int(codes.max())}; the codebooks of codec {manifest.codec.name!r} "
                f"({manifest.codec.weights_hash[:12]}) end at {manifest.codec.codebook_size - 1}."
            )
            problems.append(Problem(ReasonCode.CODE_OUT_OF_RANGE, record.part, str(path), row["utt_id"], message))
    return problems


def _metadata_problems(dataset: Path, manifest: DatasetManifest, records: list[CommitRecord]) -> tuple[list[Problem], bool]:
    """Damage to what `valle metadata` wrote, and whether it is of other parts than there are now."""
    try:
        hashes, stats = load_hashes(dataset), load_stats(dataset)
    except InputError as error:
        return [Problem(error.reason, NO_PART, str(dataset / FOLDER), None, error.args[0])], False
    # What the user may remove is checked where it is there; what the statistics vouch for has to be there.
    expected = {name: sha256 for name, sha256 in hashes.items() if (dataset / FOLDER / name).is_file()} | (stats["files"] if stats else {})
    problems = [problem for name, sha256 in expected.items() if (problem := _differs(dataset, Path(name).name, sha256))]
    if stats is None or any(problem.path.endswith(ATTRIBUTION) for problem in problems):
        return problems, False
    return problems, stats["inputs"] != inputs_hash(manifest, records, load_attribution(dataset).sha256)


def _differs(dataset: Path, name: str, expected: str) -> Problem | None:
    path = dataset / FOLDER / name
    found = sha256_of(path) if path.is_file() else None
    if found == expected:
        return None
    state = f"has sha256 {found[:12]}" if found else "is gone"
    message = f"{path} {state}, it was written with {expected[:12]}. Run the sub-command of `valle metadata` that makes it again."
    return Problem(ReasonCode.CORRUPT_SHARD if found else ReasonCode.MISSING_SHARD, NO_PART, str(path), None, message)
