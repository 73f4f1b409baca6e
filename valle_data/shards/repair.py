"""`valle repair`: everything wrong with a data set, what to do about each, and the doing.

Nothing that is committed and whole is changed, and nothing is deleted: what has to go is moved to `lost+found/` under its own path. A damaged part is replaced
file by file, its record last, after copies of all its files were kept; a repair that is killed leaves a part that the next one repairs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path

from valle_data import files
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.files import TEMPORARY
from valle_data.shards import EXTENSIONS
from valle_data.shards.base import Problem, index_path, part_name, quarantine_path, record_path, side_path
from valle_data.shards.check import NO_PART, PART_FOLDERS, PART_OF_NAME, files_of, strangers
from valle_data.shards.commit import check_part, read_part_index
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.rebuild import rebuild_index, rebuild_record, salvage
from valle_data.shards.record import CommitRecord, load_record, sha256

LOST_AND_FOUND = "lost+found"


class Kind(StrEnum):
    """What is done. `salvage` and `withdraw` give something up and want consent; the others only put things where they belong."""

    MOVE_AWAY = "move away"
    PUT_BACK = "put back"
    REBUILD_INDEX = "rebuild index"
    REBUILD_RECORD = "rebuild record"
    SALVAGE = "salvage"
    WITHDRAW = "withdraw"


@dataclass(frozen=True)
class Action:
    """One thing to do: `problem` is what was found, `proposal` says what would be done about it, `do` does it."""

    kind: Kind
    part: int
    path: Path
    problem: str
    proposal: str
    do: Callable[[], object]

    @property
    def needs_consent(self) -> bool:
        return self.kind in (Kind.SALVAGE, Kind.WITHDRAW)


class Repair:
    """One look at a data set. `actions()` reads every byte and changes nothing; afterwards their `do` may be called, in their order."""

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._manifest = DatasetManifest.load(dataset)
        self._records: dict[int, CommitRecord] = {}
        self._broken_records: dict[int, InputError] = {}
        self._wanted: set[Path] = set()
        for path in sorted((dataset / "shards").glob("part-*.json")):
            number = number_of(path)
            try:
                self._records[number] = load_record(path)
            except InputError as error:
                self._broken_records[number] = error

    def actions(self, looked_at: Callable[[], None] = lambda: None) -> list[Action]:
        """What to do, in order; `looked_at` is called after each part."""
        found = [self._move(path, "a file that an interrupted run left", f"{path} is temporary.") for path in self._temporaries()]
        for record in self._records.values():
            problems = check_part(self._dataset, record)
            if record.config_hash != self._manifest.config_hash:
                message = f"It was made with configuration {record.config_hash[:12]}, the data set with {self._manifest.config_hash[:12]}."
                problems = [Problem(ReasonCode.FOREIGN_SHARD, record.part, record.shard, None, message)]
                found.append(self._withdraw(record, problems))
            elif problems:
                found += self._mend(record, problems)
            looked_at()
        found += list(self._duplicates({action.part for action in found}))
        return found + list(self._without_record())

    def _temporaries(self) -> list[Path]:
        return sorted(path for folder in (*PART_FOLDERS, "plan", "metadata", ".") for path in (self._dataset / folder).glob(f"{TEMPORARY}*"))

    # --- committed parts

    def _mend(self, record: CommitRecord, problems: Sequence[Problem]) -> list[Action]:
        wrong = [path for path, expected in self._expected(record).items() if _hash(path) != expected]
        if misplaced := {path: self._loose[self._expected(record)[path]] for path in wrong if self._expected(record)[path] in self._loose}:
            self._wanted |= set(misplaced.values())
            return [self._put_back(record, path, source) for path, source in misplaced.items()]
        sentence = problems[0].message
        index = index_path(self._dataset, record.part)
        if wrong == [index]:
            try:
                data = rebuild_index(self._dataset, record, self._manifest)
            except InputError as error:
                sentence = f"{sentence} {error.args[0]}"
            else:
                if sha256(data) == record.index_sha256:
                    proposal = "make it again from the shard; its sha256 is the committed one"
                    return [Action(Kind.REBUILD_INDEX, record.part, index, sentence, proposal, partial(self._replace, index, data))]
        try:
            whole = salvage(self._dataset, record, self._manifest)
        except InputError as error:
            return [self._withdraw(record, problems, f"{sentence} {error.args[0]}")]
        lost = f", {len(whole.lost)} are lost and go to the quarantine (first {whole.lost[0]})" if whole.lost else ""
        proposal = f"keep the {whole.record.num_utterances} utterances that are whole{lost}"
        return [Action(Kind.SALVAGE, record.part, self._dataset / "shards" / record.shard, sentence, proposal, partial(self._salvage, record))]

    def _expected(self, record: CommitRecord) -> dict[Path, str]:
        """sha256 of the files of a part, as committed."""
        sides = {side_path(self._dataset, record.part, side): expected for side, expected in record.sides.items()}
        quarantine = {quarantine_path(self._dataset, record.part): record.quarantine_sha256} if record.quarantine_sha256 else {}
        return {
            self._dataset / "shards" / record.shard: record.shard_sha256,
            index_path(self._dataset, record.part): record.index_sha256,
            **sides,
            **quarantine,
        }

    @cached_property
    def _loose(self) -> dict[str, Path]:
        """Files that are not what their place promises, by their sha256: some may belong to another place. Copies of an interrupted repair are among them."""
        found = [self._dataset / LOST_AND_FOUND / name / kept for name in PART_FOLDERS for kept in files.names(self._dataset / LOST_AND_FOUND / name)]
        found += strangers(self._dataset, list(self._records.values()))
        found += [path for record in self._records.values() for path, expected in self._expected(record).items() if _hash(path) not in (None, expected)]
        return {digest: path for path in found if (digest := _hash(path)) is not None}

    def _put_back(self, record: CommitRecord, path: Path, source: Path) -> Action:
        expected = self._expected(record)[path]

        def do() -> None:
            place = self._loose[expected]
            if path.exists():
                occupant = _hash(path)
                away = self._move_away(path)
                if occupant is not None and self._loose.get(occupant) == path:
                    self._loose[occupant] = away
            files.move(place, path)
            files.sync_folder(path.parent)

        problem = f"{path.name} is missing or another file, and {source.name} is what was committed as {path.name}."
        return Action(Kind.PUT_BACK, record.part, path, problem, f"move {source.relative_to(self._dataset)} there", do)

    def _replace(self, path: Path, data: bytes) -> None:
        self._keep_copy(path)
        files.write_atomically(path, data)

    def _salvage(self, record: CommitRecord) -> None:
        whole = salvage(self._dataset, record, self._manifest)
        for path in files_of(self._dataset, record):
            self._keep_copy(path)
        contents = {side_path(self._dataset, record.part, side): data for side, data in whole.files.sides.items()}
        if whole.files.quarantine is not None:
            contents[quarantine_path(self._dataset, record.part)] = whole.files.quarantine
        contents |= {self._dataset / "shards" / record.shard: whole.files.shard, index_path(self._dataset, record.part): whole.files.index}
        for path, data in contents.items():
            files.write_atomically(path, data)
        files.write_atomically(record_path(self._dataset, record.part), whole.record.to_bytes())

    def _withdraw(self, record: CommitRecord, problems: Sequence[Problem], sentence: str | None = None) -> Action:
        def do() -> None:
            for path in reversed(files_of(self._dataset, record)):  # the record first: without it the part does not exist
                if path.exists():
                    self._move_away(path)

        proposal = f"move the part to {LOST_AND_FOUND}/; `valle prepare` makes it anew"
        return Action(Kind.WITHDRAW, record.part, record_path(self._dataset, record.part), sentence or problems[0].message, proposal, do)

    def _duplicates(self, damaged: set[int]) -> Iterator[Action]:
        first: dict[str, int] = {}
        for record in self._records.values():
            if record.part in damaged:
                continue
            for utterance in read_part_index(self._dataset, record, ["utt_id"])["utt_id"].to_pylist():
                if first.setdefault(utterance, record.part) != record.part:
                    message = f"Utterance {utterance} is in {part_name(first[utterance])} and in {part_name(record.part)}."
                    yield self._withdraw(record, [Problem(ReasonCode.DUPLICATE_ID, record.part, record.shard, utterance, message)])
                    break

    # --- files without a record

    def _without_record(self) -> Iterator[Action]:
        by_part: dict[int, list[Path]] = {}
        for path in strangers(self._dataset, list(self._records.values())):
            if path in self._wanted:
                continue
            by_part.setdefault(number_of(path), []).append(path)
        for number in sorted(by_part.keys() | self._broken_records.keys()):
            paths, broken = by_part.get(number, []), self._broken_records.get(number)
            problem = broken.args[0] if broken else f"{part_name(number)} has files but no commit record."
            record = self._rebuilt(number, paths) if number not in self._records and number != NO_PART else None
            if record is not None:
                path = record_path(self._dataset, number)
                proposal = "make it again from the part's other files, which agree with one another and with the plan"
                yield Action(Kind.REBUILD_RECORD, number, path, problem, proposal, partial(self._replace, path, record.to_bytes()))
                paths = [path for path in paths if path not in files_of(self._dataset, record)]
            elif broken:
                paths = [*paths, record_path(self._dataset, number)]
            for path in paths:
                yield self._move(
                    path, f"a file of no committed part; {'`valle prepare` makes the part anew' if number != NO_PART else 'readers ignore it'}", problem
                )

    def _rebuilt(self, number: int, paths: Sequence[Path]) -> CommitRecord | None:
        shards = [path for path in paths if path.parent.name == "shards" and path.suffix[1:] in EXTENSIONS and path.stem == part_name(number)]
        sides = sorted({side for record in self._records.values() for side in record.sides}) or _sides_among(paths)
        try:
            return rebuild_record(self._dataset, number, shards[0].name, self._manifest, sides) if len(shards) == 1 else None
        except InputError:
            return None  # the part's files are moved away instead

    # --- moving

    def _move(self, path: Path, what: str, problem: str) -> Action:
        return Action(Kind.MOVE_AWAY, number_of(path), path, problem, f"move it to {LOST_AND_FOUND}/: {what}", partial(self._move_away, path))

    def _move_away(self, path: Path) -> Path:
        target = self._free_place(path)
        files.move(path, target)
        files.sync_folder(target.parent)
        files.sync_folder(path.parent)
        return target

    def _keep_copy(self, path: Path) -> None:
        if path.exists():
            files.write_atomically(self._free_place(path), files.read(path))

    def _free_place(self, path: Path) -> Path:
        """A name in `lost+found/` that nothing has."""
        place = self._dataset / LOST_AND_FOUND / path.relative_to(self._dataset)
        files.make_folder(place.parent)
        names, count = set(files.names(place.parent)), 0
        while (name := place.name + (f".{count}" if count else "")) in names:
            count += 1
        return place.with_name(name)


def number_of(path: Path) -> int:
    """The part that a file's name says it is of, or NO_PART."""
    found = PART_OF_NAME.match(path.name)
    return int(found.group(1)) if found else NO_PART


def _sides_among(paths: Sequence[Path]) -> list[str]:
    return sorted(path.name.split(".")[1] for path in paths if path.parent.name == "vectors" and path.name.count(".") == 2)


def _hash(path: Path) -> str | None:
    return sha256(files.read(path)) if path.is_file() else None


def refuse_remote(dataset: Path) -> None:
    """UsageError for a data set in an object store, which has no renaming."""
    if not files.store_of(dataset).renames:
        raise UsageError(f"{dataset} is in an object store, where repair only looks: use --dry-run, or copy it to a local folder and repair that.")
