"""The parts that a run of `valle prepare` is to make: those an earlier run left unfinished, and new ones planned from the corpus as they are needed."""

import tempfile
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.catalog import Catalog, opened
from pipelines.console import Console
from pipelines.planner import PlanOptions, plan_parts
from pipelines.prepare_config import PrepareConfig
from pipelines.prepare_state import changes, committed_ns, is_stale, planned_ns, records_of
from valle_data.corpora import CORPORA
from valle_data.corpora.base import ListingProblem
from valle_data.errors import InputError, UsageError
from valle_data.records import Utterance
from valle_data.shards.base import SAFE_ID, record_path
from valle_data.shards.index import printable
from valle_data.shards.plan import FOLDER, PARTS_PER_FILE, UTTERANCES_PER_FILE, PlannedPart, committed_numbers, save_plan, unfinished_parts, withdraw
from valle_data.stages import STAGES
from valle_data.stores.remote_path import RemotePath
from valle_data.text.phonemizers.base import Phonemizer

LIST_FIRST_BELOW = 1000
"""Finished parts. A small corpus is listed before anything else, so that what its owner mended counts; of a large one the unfinished parts come first."""
CATALOG_NAME = ".tmp-catalog.sqlite"


@dataclass(frozen=True)
class IntakeOptions:
    """`limit`: plan so many utterances in this run and no more. `retried`: reasons whose quarantined utterances are tried again."""

    limit: int | None = None
    retried: tuple[str, ...] = ()


@dataclass
class Tally:
    """What is known of the work so far: planned audio, how much of the new utterances that is, and how many utterances there are in all."""

    planned_s: float = 0.0
    num_looked_at: int = 0
    num_new: int | None = None
    num_listed: int | None = None
    in_hand: dict[int, float] = field(default_factory=dict)
    """Planned seconds of the parts that were given out and are not finished."""

    def give(self, part: PlannedPart) -> PlannedPart:
        """Note a part that is given out."""
        self.in_hand[part.part] = part.duration_s
        return part

    @property
    def expected_s(self) -> float:
        """Of audio in the whole run, as far as it can be told: recordings nobody has looked at are taken to be as long as the others."""
        if not self.num_new or not self.num_looked_at:
            return self.planned_s
        return self.planned_s * max(1.0, self.num_new / self.num_looked_at)


class Intake:
    """See the module. `parts` may be left at any time: what it has given out is in the plan."""

    def __init__(self, config: PrepareConfig, output: Path, phonemizer: Phonemizer, console: Console, options: IntakeOptions) -> None:
        self._config, self._output, self._phonemizer, self._console, self._options = config, output, phonemizer, console, options
        self.tally = Tally()

    def parts(self) -> Generator[PlannedPart]:
        """Every part that is not committed, in order."""
        finished = committed_numbers(self._output)
        given: set[int] = set()
        if len(finished) >= LIST_FIRST_BELOW:
            for part in self._unfinished(finished):
                given.add(part.part)
                yield part
        with self._catalog(finished) as catalog:
            self._withdraw_stale(catalog, finished | given)
            for part in unfinished_parts(self._output, finished | given):
                self.tally.planned_s += part.duration_s
                yield self.tally.give(part)
            yield from self._planned(catalog)

    def _unfinished(self, finished: Collection[int]) -> Iterator[PlannedPart]:
        """What was planned before, less the parts whose recordings are gone or changed: these are planned anew."""
        since_ns, stale = planned_ns(self._output), set[int]()
        for part in unfinished_parts(self._output, finished):
            if is_stale(part, since_ns):
                stale.add(part.part)
            else:
                self.tally.planned_s += part.duration_s
                yield self.tally.give(part)
        self._withdraw(stale)

    @contextmanager
    def _catalog(self, finished: Collection[int]) -> Iterator[Catalog]:
        """The corpus, held against what is planned."""
        with ExitStack() as stack:
            is_remote = isinstance(self._output, RemotePath)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if is_remote else self._output / FOLDER
            catalog = stack.enter_context(opened(folder / CATALOG_NAME))
            catalog.load(self._output, records_of(self._output), self._options.retried)
            self._list(catalog)
            self._warn_of_changes(catalog, committed_ns(self._output, finished))
            yield catalog

    def _list(self, catalog: Catalog) -> None:
        labels = ", ".join(entry.label or entry.name for entry in self._config.all_corpora())
        self._console.info(f"Listing the corpus ({labels}).")
        self.tally.num_listed = catalog.list(entries_of(self._config))
        problems = Counter(problem.reason for problem in catalog.problems())
        if not self.tally.num_listed and not problems:
            raise UsageError("The corpus has no recordings. Check its path and pattern in the configuration (`valle config show CONFIG`).")
        self._check_languages(catalog)
        for reason, count in sorted(problems.items()):
            first = next(problem for problem in catalog.problems() if problem.reason == reason)
            self._console.warning(f"{count:,} of the corpus go to quarantine with {reason}, first {printable(first.path)!r}: {printable(first.message)}")

    def _check_languages(self, catalog: Catalog) -> None:
        """Refuse a mistyped language before any work; a few utterances in a strange one are left to the quarantine."""
        num_listed = self.tally.num_listed or 0
        for language, (count, path) in catalog.languages().items():
            if any(STAGES[name].gives_language for name in self._config.stages()) and language == "und":
                continue
            try:
                self._phonemizer.check_language(language)
            except InputError as error:
                if count <= self._config.max_quarantine_fraction * num_listed:
                    continue
                raise UsageError(
                    f"{error.args[0]} {count:,} of the utterances have this language, first {printable(path)!r}: correct `corpus.language`, "
                    "the table or the path, or leave them out with `corpus.exclude`."
                ) from error

    def _withdraw_stale(self, catalog: Catalog, taken: Collection[int]) -> None:
        """Have the unfinished parts planned anew of which an utterance is no longer in the corpus as it was planned."""
        since_ns = planned_ns(self._output)
        stale = set(catalog.gone_or_other(taken))
        stale |= {part.part for part in unfinished_parts(self._output, {*taken, *stale}) if is_stale(part, since_ns)}
        catalog.forget(stale)
        self._withdraw(stale)

    def _withdraw(self, stale: Collection[int]) -> None:
        if stale:
            self._console.info(f"The corpus has changed since {len(stale):,} parts were planned; they are planned anew.")
            withdraw(self._output, stale)

    def _warn_of_changes(self, catalog: Catalog, since_ns: dict[int, int]) -> None:
        found, first = 0, None
        for stretch in changes(catalog, since_ns):
            found, first = found + 1, first or stretch
        if first:
            self._console.warning(
                f"{found:,} utterances that are prepared have another text or recording now; what was prepared stays, first {printable(first.place.path)!r}. "
                f"To prepare them again, remove {record_path(self._output, first.part)} (and its like) and run the same command, or prepare into a new folder."
            )

    def _planned(self, catalog: Catalog) -> Iterator[PlannedPart]:
        """New parts, written down some at a time before any of them is given out."""
        options = plan_options(self._config, self._options.limit)
        self.tally.num_new = catalog.num_new if options.limit is None else min(catalog.num_new, options.limit)
        new, waiting = plan_parts(catalog, options, self._look), list[PlannedPart]()
        if self.tally.num_new:
            self._console.info(f"Planning {self.tally.num_new:,} new utterances.")
        for part in new:
            waiting.append(part)
            if len(waiting) == PARTS_PER_FILE or sum(len(each.utterances) for each in waiting) >= UTTERANCES_PER_FILE:
                yield from self._write(waiting)
                waiting = []
        yield from self._write(waiting)

    def _look(self) -> None:
        self.tally.num_looked_at += 1

    def _write(self, parts: Sequence[PlannedPart]) -> Iterator[PlannedPart]:
        if parts:
            save_plan(self._output, parts)
            self.tally.planned_s += sum(part.duration_s for part in parts)
            yield from map(self.tally.give, parts)


def plan_options(config: PrepareConfig, limit: int | None = None) -> PlanOptions:
    stages = config.stages()
    return PlanOptions(
        part_duration_s=config.part_duration_s,
        duplicate_audio=config.duplicate_audio,
        limits=config.limits,
        max_characters=config.max_characters,
        gives_text=any(STAGES[name].gives_text for name in stages),
        cuts=any(STAGES[name].cuts for name in stages),
        limit=limit,
        digests_beside=tuple(entry.digest_beside for entry in stages.values()),
    )


def entries_of(config: PrepareConfig) -> Iterator[Utterance | ListingProblem]:
    """What all corpora of a configuration list. Where there are several, the label of its corpus stands before the id of an utterance."""
    corpora = config.all_corpora()
    for entry in corpora:
        label = entry.label or entry.name
        for item in CORPORA.build(entry).entries():
            yield replace(item, id=_labelled(label, item.id)) if len(corpora) > 1 and isinstance(item, Utterance) else item


def _labelled(label: str, name: str) -> str:
    """The id keeps its end, which tells it apart, when both are too long together."""
    prefix = "".join(letter if SAFE_ID.fullmatch(letter) else "_" for letter in label)[:24] + "-"
    return prefix + name[-(90 - len(prefix)) :]
