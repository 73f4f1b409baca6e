"""The planner: new utterances of a catalogue -> parts. Reads every new recording once for its digest and header, decodes nothing."""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal

from pipelines.catalog import Catalog, Cut, owner_name, sound_key
from valle_data.audio import AudioInfo, AudioLimits
from valle_data.decoder_process import DecoderProcess
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, PlannedUtterance, Rejection, Utterance
from valle_data.shards.index import printable
from valle_data.shards.plan import PlannedPart, content_key
from valle_data.source import audio_digest
from valle_data.stages.base import segment_id
from valle_data.text.normalize import normalize

READERS = 4
HEADER_LIMIT_S = 30.0
WINDOW = 512
"""Utterances looked at together: enough for the readers, and no more in memory."""
REJECTIONS_PER_PART = 1000
"""A part is closed when so much was refused on the way to it: memory stays flat, and a run that can only end with too many is stopped early."""
MARGIN_S = 20.0
"""How far a piece of a long recording reaches into its neighbours, so that both see the pause where they part."""


@dataclass(frozen=True)
class PlanOptions:
    """`duplicate_audio`: what becomes of the second utterance with the same sound. `max_characters` bounds a transcript.

    `gives_text` and `cuts`: a stage will find missing transcripts, or cut long recordings. `limit`: plan or refuse so many utterances and no more; those
    that were refused before do not count.
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


@dataclass(frozen=True)
class Candidate:
    """An utterance, its recording, and digests of what stages read beside them."""

    utterance: Utterance
    source: Source
    beside: tuple[str, ...]

    @property
    def mark(self) -> str:
        return fingerprint(self.utterance, self.source.digest, self.beside)


def plan_parts(catalog: Catalog, options: PlanOptions, looked_at: Callable[[], None] = lambda: None) -> Iterator[PlannedPart]:
    """Parts for what is new in the catalogue, numbered from its next number; the same input gives the same parts, one after the other.

    Utterances are grouped by group and speaker. What the listing refused goes with the first part, what the planner refuses with the part it would have
    been in. `looked_at` is called after each utterance.
    """
    number, filled_s, kept, rejected = catalog.next_part, 0.0, [], []
    for outcome in itertools.chain(_refused_by_listing(catalog), _outcomes(catalog, options, looked_at)):
        is_refused = isinstance(outcome, Rejection)
        if (filled_s >= options.part_duration_s and not is_refused) or len(rejected) >= REJECTIONS_PER_PART:
            yield PlannedPart(number, tuple(kept), tuple(rejected))
            number, filled_s, kept, rejected = number + 1, 0.0, [], []
        if is_refused:
            rejected.append(outcome)
            continue
        kept.append(outcome)
        filled_s += outcome.duration_s
    if kept or rejected:
        yield PlannedPart(number, tuple(kept), tuple(rejected))


def _refused_by_listing(catalog: Catalog) -> Iterator[Rejection]:
    for problem in catalog.problems():
        mark = _hash([problem.path, str(problem.reason)])
        if not catalog.was_refused(mark, as_duplicate=False):
            yield Rejection(None, problem.path, "list", problem.reason, printable(problem.message), mark)


def _outcomes(catalog: Catalog, options: PlanOptions, looked_at: Callable[[], None]) -> Iterator[PlannedUtterance | Rejection]:
    new, num_left = catalog.new(), options.limit
    headers = _Headers(options.limits)
    with ThreadPoolExecutor(READERS) as pool:
        while window := list(itertools.islice(new, WINDOW if num_left is None else min(WINDOW, num_left))):
            for candidate in _candidates(window, options, headers, pool):
                if not catalog.was_refused(candidate.mark, as_duplicate=False):  # if it was, its sound is free for another
                    outcomes = list(_judge(candidate, catalog, options))
                    yield from outcomes
                    num_left = None if num_left is None else num_left - bool(outcomes)
                looked_at()


class _Headers:
    """`probe` in a child process, as a header may crash the library that reads it; for several threads."""

    def __init__(self, limits: AudioLimits) -> None:
        self._decoder, self._turn = DecoderProcess(limits), Lock()

    def probe(self, place: AudioRef) -> AudioInfo:
        with self._turn:
            return self._decoder.probe(place, HEADER_LIMIT_S)


def _candidates(utterances: Sequence[Utterance], options: PlanOptions, headers: _Headers, pool: ThreadPoolExecutor) -> Iterator[Candidate]:
    places = list(dict.fromkeys(place_of(utterance.audio) for utterance in utterances))
    sources = dict(zip(places, pool.map(lambda place: look_at(place, headers), places), strict=True))
    for utterance in utterances:
        beside = tuple(filter(None, (digest(utterance) for digest in options.digests_beside)))
        yield Candidate(utterance, sources[place_of(utterance.audio)], beside)


def place_of(audio: AudioRef) -> AudioRef:
    """The whole recording that a stretch lies in."""
    return AudioRef(audio.path, offset=audio.offset, nbytes=audio.nbytes)


def look_at(place: AudioRef, headers: _Headers) -> Source:
    """The digest and header of a recording. Raises InputError `storage_failed` for a disk that fails."""
    try:
        info: AudioInfo | InputError = headers.probe(place)
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
    return _hash([utterance.id, *content_key(digest, utterance.audio), utterance.text, utterance.language, *beside])


def _judge(candidate: Candidate, catalog: Catalog, options: PlanOptions) -> Iterator[PlannedUtterance | Rejection]:
    """Plan an utterance and remember its sound, or refuse it. What is refused for its text owns no sound, so that a good copy of it is kept."""
    utterance, source, mark = candidate.utterance, candidate.source, candidate.mark
    try:
        info = check_usable(utterance, source, options)
        cut = _cut_before(candidate, catalog)
    except InputError as error:
        yield Rejection(utterance.id, utterance.audio.path, "plan", error.reason, printable(str(error.args[0])), mark)
        return
    if cut is None and options.duplicate_audio == "quarantine" and (other := catalog.other_with(sound_key(source.digest, utterance.audio), utterance)):
        if not catalog.was_refused(mark, as_duplicate=True):
            names = f"{printable(owner_name(utterance.audio))!r} is the same recording as {printable(other.path)!r}"
            message = f"{names}, which is utterance {other.id!r}. Remove one, or set `duplicate_audio: keep`."
            yield Rejection(utterance.id, utterance.audio.path, "plan", ReasonCode.DUPLICATE_AUDIO, message, mark)
        return
    planned = PlannedUtterance(utterance, source.digest, info.sample_rate_hz, _duration_s(utterance.audio, info), mark)
    # A text without timestamps can only be laid along the whole recording.
    is_cuttable = options.cuts and (not utterance.text.strip() or bool(candidate.beside))
    if cut is None and not (is_cuttable and planned.duration_s > options.part_duration_s):
        yield planned
        return
    count = math.ceil(planned.duration_s / options.part_duration_s) if cut is None else round(planned.duration_s / cut.length_s)
    for piece in _pieces(planned, count, candidate.beside):
        if not catalog.knows_piece(utterance.id, piece.utterance.id) and not catalog.was_refused(piece.fingerprint, as_duplicate=False):
            yield piece


def _cut_before(candidate: Candidate, catalog: Catalog) -> Cut | None:
    """How a recording was cut of which a part is prepared. Raises InputError `source_changed` where it is another one now."""
    cut = catalog.cut(candidate.utterance.id)
    if cut is not None and cut.digest != candidate.source.digest:
        message = (
            f"{printable(owner_name(candidate.utterance.audio))!r} changed when a part of it was prepared, and the rest would not fit. "
            "Put it back as it was, or prepare into a new folder."
        )
        raise InputError(ReasonCode.SOURCE_CHANGED, message)
    return cut


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


def _pieces(planned: PlannedUtterance, count: int, beside: Sequence[str]) -> Iterator[PlannedUtterance]:
    """A recording as `count` equal pieces that overlap by margins."""
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
            fingerprint=fingerprint(utterance, planned.source_digest, beside),
            begin_margin_s=begin_margin_s,
            end_margin_s=end_margin_s,
            listed_id=planned.utterance.id,
        )
