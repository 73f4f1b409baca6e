"""The planner: a listing of utterances -> parts. Reads every new recording once for its digest and header, decodes nothing."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from valle_data.audio import AudioInfo, AudioLimits, probe
from valle_data.corpora.base import CorpusListing
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, PlannedUtterance, Rejection, Utterance
from valle_data.shards.base import check_id
from valle_data.shards.index import printable
from valle_data.shards.plan import Known, PlannedPart, content_key
from valle_data.source import file_digest
from valle_data.text.normalize import normalize

READERS = 4


@dataclass(frozen=True)
class PlanOptions:
    """`duplicate_audio`: what becomes of the second utterance with the same sound. `max_characters` bounds a transcript."""

    part_duration_s: float
    duplicate_audio: Literal["quarantine", "keep"]
    limits: AudioLimits
    max_characters: int


@dataclass(frozen=True)
class _Source:
    """What one recording turned out to be: its digest, and its header or why it cannot be used."""

    digest: str
    info: AudioInfo | InputError


def plan_parts(listing: CorpusListing, known: Known, options: PlanOptions, looked_at: Callable[[], None] = lambda: None) -> list[PlannedPart]:
    """Parts for what is new in the listing, numbered from `known.next_part`; the same input gives the same parts.

    Utterances are grouped by group and speaker; what the listing or the planner refuses goes with the first part. `looked_at` is called after each recording.
    Raises InputError `duplicate_id` when two utterances share an id.
    """
    utterances = sorted(listing.utterances, key=lambda utterance: utterance.id)
    _check_ids(utterances)
    new = [printable_utterance(utterance) for utterance in utterances if utterance.id not in known.kept]
    sources = dict(_look_at(sorted({utterance.audio.path for utterance in new}), options.limits, looked_at))
    kept: list[PlannedUtterance] = []
    rejected = [_listing_rejection(problem.path, problem.reason, problem.message) for problem in listing.problems]
    first_path = known.first_paths()
    for utterance in new:
        source = sources[utterance.audio.path]
        if fingerprint(utterance, source.digest) in known.rejected:
            continue  # and its sound is free for another utterance
        outcome = _judge(utterance, source, first_path, options)
        if isinstance(outcome, PlannedUtterance):
            kept.append(outcome)
        else:
            rejected.append(outcome)
    rejected = [rejection for rejection in rejected if rejection.fingerprint not in known.rejected | known.duplicates]
    return _number(_grouped(kept, options.part_duration_s), rejected, known.next_part)


def _check_ids(utterances: list[Utterance]) -> None:
    for before, after in itertools.pairwise(utterances):
        if before.id == after.id:
            raise InputError(
                ReasonCode.DUPLICATE_ID,
                f"{printable(before.audio.path)!r} and {printable(after.audio.path)!r} would both be utterance {after.id!r}. Rename one of them.",
            )
    for utterance in utterances:
        check_id(utterance.id)


def printable_utterance(utterance: Utterance) -> Utterance:
    """Without bytes that are no UTF-8, which neither JSON nor Parquet can hold; the path of the recording keeps them."""
    extra = {name: printable(value) for name, value in utterance.extra.items()}
    return replace(utterance, speaker=printable(utterance.speaker), group=printable(utterance.group), text=printable(utterance.text), extra=extra)


def _look_at(paths: list[str], limits: AudioLimits, looked_at: Callable[[], None]) -> Iterator[tuple[str, _Source]]:
    with ThreadPoolExecutor(READERS) as pool:
        for path, source in zip(paths, pool.map(lambda path: _source(path, limits), paths), strict=True):
            looked_at()
            yield path, source


def _source(path: str, limits: AudioLimits) -> _Source:
    try:
        info: AudioInfo | InputError = probe(path, limits)
    except InputError as error:
        if error.reason is ReasonCode.STORAGE_FAILED:
            raise
        info = error
    try:
        return _Source(file_digest(path), info)
    except (OSError, ValueError) as error:
        if isinstance(info, InputError):  # a path that leads nowhere has no content
            return _Source("", info)
        raise InputError(ReasonCode.STORAGE_FAILED, f"{printable(path)!r} cannot be read: {error}. Repair the disk and run the same command again.") from error


def _hash(parts: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:32]


def fingerprint(utterance: Utterance, digest: str) -> str:
    """Hash of all that the codes and phones of an utterance depend on, beside the configuration."""
    return _hash([utterance.id, *content_key(digest, utterance.audio), utterance.text, utterance.language])


def _listing_rejection(path: str, reason: ReasonCode, message: str) -> Rejection:
    return Rejection(None, path, "list", reason, printable(message), _hash([path, str(reason)]))


def _judge(utterance: Utterance, source: _Source, first_path: dict[tuple[str, float, float, int], str], options: PlanOptions) -> PlannedUtterance | Rejection:
    """Plan an utterance and remember its sound, or refuse it. What is refused for its text owns no sound, so that a good copy of it is kept."""
    mark, path = fingerprint(utterance, source.digest), utterance.audio.path
    if isinstance(source.info, InputError):
        return Rejection(utterance.id, path, "plan", source.info.reason, printable(str(source.info.args[0])), mark)
    try:
        normalize(utterance.text, utterance.language, options.max_characters)
    except InputError as error:
        return Rejection(utterance.id, path, "plan", error.reason, printable(str(error.args[0])), mark)
    key = content_key(source.digest, utterance.audio)
    if options.duplicate_audio == "quarantine" and first_path.get(key, path) != path:
        message = f"{printable(path)!r} is the same recording as {printable(first_path[key])!r}. Remove one, or set `duplicate_audio: keep`."
        return Rejection(utterance.id, path, "plan", ReasonCode.DUPLICATE_AUDIO, message, mark)
    first_path.setdefault(key, path)
    return PlannedUtterance(utterance, source.digest, source.info.sample_rate_hz, _duration_s(utterance.audio, source.info), mark)


def _duration_s(audio: AudioRef, info: AudioInfo) -> float:
    return max(info.duration_s - audio.start_s, 0.0) if audio.duration_s is None else audio.duration_s


def _grouped(kept: list[PlannedUtterance], part_duration_s: float) -> list[list[PlannedUtterance]]:
    """Runs of about `part_duration_s`, speakers together."""
    groups: list[list[PlannedUtterance]] = []
    filled_s = part_duration_s
    for planned in sorted(kept, key=lambda p: (p.utterance.group, p.utterance.speaker, p.utterance.id)):
        if filled_s >= part_duration_s:
            groups.append([])
            filled_s = 0.0
        groups[-1].append(planned)
        filled_s += planned.duration_s
    return groups


def _number(groups: list[list[PlannedUtterance]], rejected: list[Rejection], first: int) -> list[PlannedPart]:
    if rejected and not groups:
        groups = [[]]
    return [PlannedPart(first + index, tuple(group), tuple(rejected) if index == 0 else ()) for index, group in enumerate(groups)]
