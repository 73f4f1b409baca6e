"""The planner: new utterances of a catalogue -> parts. Reads every new recording once for its digest and header, decodes nothing."""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.catalog import Catalog, owner_name, sound_key
from valle_data.audio import AudioInfo, AudioLimits, probe
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, PlannedUtterance, Rejection, Utterance
from valle_data.shards.index import printable
from valle_data.shards.plan import PlannedPart, content_key
from valle_data.source import audio_digest
from valle_data.stages.base import segment_id
from valle_data.text.normalize import normalize

READERS = 4
WINDOW = 512
"""Utterances looked at together: enough for the readers, and no more in memory."""
MARGIN_S = 20.0
"""How far a piece of a long recording reaches into its neighbours, so that both see the pause where they part."""


@dataclass(frozen=True)
class PlanOptions:
    """`duplicate_audio`: what becomes of the second utterance with the same sound. `max_characters` bounds a transcript.

    `gives_text` and `cuts`: a stage will find missing transcripts, or cut long recordings. `limit`: plan so many utterances and no more.
    """

    part_duration_s: float
    duplicate_audio: Literal["quarantine", "keep"]
    limits: AudioLimits
    max_characters: int
    gives_text: bool = False
    cuts: bool = False
    limit: int | None = None
    digests_beside: tuple[Callable[[Utterance], str], ...] = ()
    """Digests of what stages read beside recording and text."""


@dataclass(frozen=True)
class Source:
    """What one recording turned out to be: its digest, and its header or why it cannot be used."""

    digest: str
    info: AudioInfo | InputError


def plan_parts(catalog: Catalog, options: PlanOptions, looked_at: Callable[[], None] = lambda: None) -> Iterator[PlannedPart]:
    """Parts for what is new in the catalogue, numbered from its next number; the same input gives the same parts, one after the other.

    Utterances are grouped by group and speaker. What the listing refused goes with the first part, what the planner refuses with the part it would have
    been in. `looked_at` is called after each utterance.
    """
    number, filled_s, kept = catalog.next_part, 0.0, []
    refused = [_listing_rejection(problem.path, problem.reason, problem.message) for problem in catalog.problems()]
    rejected = [rejection for rejection in refused if not catalog.was_refused(rejection.fingerprint, as_duplicate=False)]
    for outcome in _outcomes(catalog, options, looked_at):
        if isinstance(outcome, Rejection):
            rejected.append(outcome)
            continue
        if filled_s >= options.part_duration_s:
            yield PlannedPart(number, tuple(kept), tuple(rejected))
            number, filled_s, kept, rejected = number + 1, 0.0, [], []
        kept.append(outcome)
        filled_s += outcome.duration_s
    if kept or rejected:
        yield PlannedPart(number, tuple(kept), tuple(rejected))


def _outcomes(catalog: Catalog, options: PlanOptions, looked_at: Callable[[], None]) -> Iterator[PlannedUtterance | Rejection]:
    new = itertools.islice(catalog.new(), options.limit)
    with ThreadPoolExecutor(READERS) as pool:
        while window := list(itertools.islice(new, WINDOW)):
            places = list(dict.fromkeys(place_of(utterance.audio) for utterance in window))
            sources = dict(zip(places, pool.map(lambda place: look_at(place, options.limits), places), strict=True))
            for utterance in window:
                source = sources[place_of(utterance.audio)]
                mark = fingerprint(utterance, source.digest, [digest(utterance) for digest in options.digests_beside])
                if not catalog.was_refused(mark, as_duplicate=False):  # if it was, its sound is free for another
                    yield from _judge(utterance, source, mark, catalog, options)
                looked_at()


def place_of(audio: AudioRef) -> AudioRef:
    """The whole recording that a stretch lies in."""
    return AudioRef(audio.path, offset=audio.offset, nbytes=audio.nbytes)


def look_at(place: AudioRef, limits: AudioLimits) -> Source:
    """The digest and header of a recording. Raises InputError `storage_failed` for a disk that fails."""
    try:
        info: AudioInfo | InputError = probe(place, limits)
    except InputError as error:
        if error.reason is ReasonCode.STORAGE_FAILED:
            raise
        info = error
    try:
        return Source(audio_digest(place), info)
    except (OSError, ValueError) as error:
        if isinstance(info, InputError):  # a path that leads nowhere has no content
            return Source("", info)
        message = f"{printable(place.path)!r} cannot be read: {error}. Repair the disk and run the same command again."
        raise InputError(ReasonCode.STORAGE_FAILED, message) from error


def _hash(parts: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:32]


def fingerprint(utterance: Utterance, digest: str, beside: Sequence[str] = ()) -> str:
    """Hash of all that the codes and phones of an utterance depend on, beside the configuration."""
    return _hash([utterance.id, *content_key(digest, utterance.audio), utterance.text, utterance.language, *filter(None, beside)])


def _listing_rejection(path: str, reason: ReasonCode, message: str) -> Rejection:
    return Rejection(None, path, "list", reason, printable(message), _hash([path, str(reason)]))


def _judge(utterance: Utterance, source: Source, mark: str, catalog: Catalog, options: PlanOptions) -> Iterator[PlannedUtterance | Rejection]:
    """Plan an utterance and remember its sound, or refuse it. What is refused for its text owns no sound, so that a good copy of it is kept."""
    path = utterance.audio.path
    try:
        info = check_usable(utterance, source, options)
    except InputError as error:
        yield Rejection(utterance.id, path, "plan", error.reason, printable(str(error.args[0])), mark)
        return
    sound = sound_key(source.digest, utterance.audio)
    owner = owner_name(utterance.audio)
    if options.duplicate_audio == "quarantine" and (first := catalog.first_with(sound, owner)) != owner:
        if not catalog.was_refused(mark, as_duplicate=True):
            message = f"{printable(owner)!r} is the same recording as {printable(first)!r}. Remove one, or set `duplicate_audio: keep`."
            yield Rejection(utterance.id, path, "plan", ReasonCode.DUPLICATE_AUDIO, message, mark)
        return
    planned = PlannedUtterance(utterance, source.digest, info.sample_rate_hz, _duration_s(utterance.audio, info), mark)
    # A text without timestamps can only be laid along the whole recording.
    is_cuttable = options.cuts and (not utterance.text.strip() or any(digest(utterance) for digest in options.digests_beside))
    yield from _pieces(planned, options.part_duration_s) if is_cuttable and planned.duration_s > options.part_duration_s else (planned,)


def check_usable(utterance: Utterance, source: Source, options: PlanOptions) -> AudioInfo:
    """What its header says. Raises InputError unless the utterance can be used, as far as can be seen without decoding."""
    if isinstance(source.info, InputError):
        raise source.info
    if utterance.text.strip():
        normalize(utterance.text, utterance.language, options.max_characters if not options.cuts else 1_000_000)
    elif not options.gives_text and not any(digest(utterance) for digest in options.digests_beside):
        message = f"{printable(utterance.audio.path)!r} has no transcript. Put one beside it or into the table, or have the stage `transcribe` find it."
        raise InputError(ReasonCode.MISSING_TEXT, message)
    return source.info


def _duration_s(audio: AudioRef, info: AudioInfo) -> float:
    return max(info.duration_s - audio.start_s, 0.0) if audio.duration_s is None else audio.duration_s


def _pieces(planned: PlannedUtterance, part_duration_s: float) -> Iterator[PlannedUtterance]:
    """A recording longer than a part as equal pieces, none longer than a part, that overlap by margins."""
    count = math.ceil(planned.duration_s / part_duration_s)
    length_s = planned.duration_s / count
    margin_s = min(MARGIN_S, length_s / 4)
    audio = planned.utterance.audio
    for index in range(count):
        begin_margin_s, end_margin_s = (margin_s if index else 0.0), (margin_s if index < count - 1 else 0.0)
        start_s = round(audio.start_s + index * length_s - begin_margin_s, 6)
        duration_s = round(length_s + begin_margin_s + end_margin_s, 6)
        stretch = replace(audio, start_s=start_s, duration_s=duration_s if index < count - 1 or audio.duration_s is not None else None)
        utterance = replace(planned.utterance, id=segment_id(planned.utterance.id, start_s, duration_s), audio=stretch)
        yield replace(
            planned,
            utterance=utterance,
            duration_s=length_s,
            begin_margin_s=begin_margin_s,
            end_margin_s=end_margin_s,
            listed_id=planned.utterance.id,
        )
