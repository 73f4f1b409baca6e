"""A whole data set held against its manifest and commit records."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xxhash

from valle_data.errors import InputError, ReasonCode
from valle_data.files import TEMPORARY
from valle_data.shards.base import Problem, index_path, quarantine_path, record_path, side_path
from valle_data.shards.commit import CommitRecord, check_part, load_record, read_part_index
from valle_data.shards.manifest import DatasetManifest

NO_PART = -1
PART_OF_NAME = re.compile(r"part-(\d{6})\.")
PART_FOLDERS = ("shards", "quarantine", "vectors")


def check_dataset(dataset: Path, look_closer: Callable[[CommitRecord], list[Problem]] = lambda record: []) -> list[Problem]:
    """Everything wrong with a data set; empty when it is whole. Parts that are not named in the result can be used.

    `look_closer` adds what else is wrong with a part, one part after the other. Eight bytes an utterance are kept, and the files of one part at a time.
    Raises InputError when there is no readable `dataset.json`.
    """
    manifest = DatasetManifest.load(dataset)
    problems: list[Problem] = []
    records: list[CommitRecord] = []
    for path in sorted((dataset / "shards").glob("part-*.json")):
        try:
            records.append(load_record(path))
        except InputError as error:
            problems.append(Problem(error.reason, _number(path), str(path), None, error.args[0]))
    for record in records:
        problems += check_part(dataset, record)
        if record.config_hash != manifest.config_hash:
            message = (
                f"Part {record.part} was made with configuration {record.config_hash[:12]}, dataset.json says {manifest.config_hash[:12]}: "
                "it comes from another data set. Remove it and run `valle prepare` again."
            )
            problems.append(Problem(ReasonCode.FOREIGN_SHARD, record.part, record.shard, None, message))
        problems += look_closer(record)
    return problems + _strangers(dataset, records) + _twice(dataset, records)


def _number(path: Path) -> int:
    """The part that a file's name says it is of."""
    name = PART_OF_NAME.match(path.name)
    return int(name.group(1)) if name else NO_PART


def files_of(dataset: Path, record: CommitRecord) -> list[Path]:
    """All files that a committed part consists of, its record last."""
    sides = [side_path(dataset, record.part, side) for side in record.sides]
    quarantine = [quarantine_path(dataset, record.part)] if record.quarantine_sha256 else []
    return [dataset / "shards" / record.shard, index_path(dataset, record.part), *sides, *quarantine, record_path(dataset, record.part)]


def strangers(dataset: Path, records: Sequence[CommitRecord]) -> list[Path]:
    """Files in the folders of a data set that belong to no committed part. Commit records themselves and temporary files are not among them."""
    known = {path for record in records for path in files_of(dataset, record)}
    found = [path for name in PART_FOLDERS for path in (dataset / name).glob("*")]
    return sorted(
        path for path in found if path not in known and not path.name.startswith(TEMPORARY) and not (path.parent.name == "shards" and path.suffix == ".json")
    )


def _strangers(dataset: Path, records: Sequence[CommitRecord]) -> list[Problem]:
    """Files that belong to no commit record; those of a running or interrupted prepare are among them."""
    return [
        Problem(
            ReasonCode.FOREIGN_SHARD,
            _number(path),
            str(path),
            None,
            f"{path} belongs to no committed part. Readers ignore it; `valle repair` moves it away, or run `valle prepare` again if that was interrupted.",
        )
        for path in strangers(dataset, records)
    ]


def _twice(dataset: Path, records: list[CommitRecord]) -> list[Problem]:
    """Utterances that two parts claim: those whose hashes meet are looked at by name."""
    hashes = [np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in _names(dataset, record)], dtype=np.uint64) for record in records]
    ordered = np.sort(np.concatenate([np.zeros(0, dtype=np.uint64), *hashes]))
    meeting = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    first: dict[str, int] = {}
    problems = []
    for record, found in zip(records, hashes, strict=True):
        suspects = np.flatnonzero(np.isin(found, meeting)).tolist()
        names = _names(dataset, record) if suspects else []
        for utterance in (names[suspect] for suspect in suspects):
            if first.setdefault(utterance, record.part) != record.part:
                message = (
                    f"Utterance {utterance} is in part {first[utterance]} and in part {record.part}. Remove one of the two parts and run `valle prepare` again."
                )
                problems.append(Problem(ReasonCode.DUPLICATE_ID, record.part, record.shard, utterance, message))
    return problems


def _names(dataset: Path, record: CommitRecord) -> list[str]:
    """The utterances of a part; none where its index cannot be read, which `check_part` has reported."""
    try:
        return read_part_index(dataset, record, ["utt_id"])["utt_id"].to_pylist()
    except InputError:
        return []
