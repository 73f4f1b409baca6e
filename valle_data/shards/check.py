"""A whole data set held against its manifest and commit records."""

from pathlib import Path

from valle_data.errors import InputError, ReasonCode
from valle_data.files import TEMPORARY
from valle_data.shards.base import SHARD_NAME, Problem, quarantine_path
from valle_data.shards.commit import CommitRecord, check_part, load_record, read_part_index
from valle_data.shards.manifest import DatasetManifest

NO_PART = -1


def check_dataset(dataset: Path) -> list[Problem]:
    """Everything wrong with a data set; empty when it is whole. Parts that are not named in the result can be used.

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
    return problems + _strangers(dataset, {record.part for record in records}) + _twice(dataset, records)


def _number(path: Path) -> int:
    name = SHARD_NAME.fullmatch(path.name)
    return int(name.group(1)) if name else NO_PART


def _strangers(dataset: Path, parts: set[int]) -> list[Problem]:
    """Files that belong to no commit record; those of a running or interrupted prepare are among them."""
    problems = []
    for path in sorted([*(dataset / "shards").iterdir(), *(dataset / "quarantine").glob("*")]):
        number = _number(path)
        known = number in parts and (path.suffix in (".json", ".parquet", ".tar") if path.parent.name == "shards" else path == quarantine_path(dataset, number))
        if not known and path.suffix != ".json" and not path.name.startswith(TEMPORARY):
            message = f"{path} belongs to no committed part. Readers ignore it; move it away, or run `valle prepare` again if that was interrupted."
            problems.append(Problem(ReasonCode.FOREIGN_SHARD, number, str(path), None, message))
    return problems


def _twice(dataset: Path, records: list[CommitRecord]) -> list[Problem]:
    """Utterances that two parts claim."""
    first: dict[str, int] = {}
    problems = []
    for record in records:
        try:
            utterances = read_part_index(dataset, record)["utt_id"].to_pylist()
        except InputError:
            continue  # check_part has reported it
        for utterance in utterances:
            if first.setdefault(utterance, record.part) != record.part:
                message = (
                    f"Utterance {utterance} is in part {first[utterance]} and in part {record.part}. Remove one of the two parts and run `valle prepare` again."
                )
                problems.append(Problem(ReasonCode.DUPLICATE_ID, record.part, record.shard, utterance, message))
    return problems
