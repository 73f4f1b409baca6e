"""Which stages need not run again: the results of a stage are kept by utterance and by its recipe, in the data sets that were made with it.

A recipe is a hash of a stage's own options, version and stamp, and of the recipes of all stages before it that change what it reads. Another phonemizer has
no part in the recipe of the codec's stage, so codes are taken over from a data set that was made with the same codec.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from valle_data.records import CodedUtterance
from valle_data.shards.manifest import DatasetManifest
from valle_data.stages import STAGES
from valle_data.stages.base import Stage, StageResult, Work


@dataclass(frozen=True)
class Recipe:
    """How a stage of a data set came to its results: a hash, and what of an utterance's input went into it."""

    hash: str
    inputs: frozenset[str]


def recipes(manifest: DatasetManifest) -> dict[str, Recipe]:
    """The recipe of each stage that a data set was made with."""
    found: dict[str, Recipe] = {}
    for name, entry in manifest.stages.items():
        stage: type[Stage] = STAGES[name]
        earlier = [found[other] for other in found if STAGES[other].writes & stage.reads]
        content = [name, entry, sorted(recipe.hash for recipe in earlier), _models(name, manifest)]
        mark = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
        found[name] = Recipe(mark, stage.reads.union(*(recipe.inputs for recipe in earlier)))
    return found


def _models(stage: str, manifest: DatasetManifest) -> Any:
    """The codec or phonemizer, which the data set names apart from the options of their stages."""
    phonemizer = manifest.phonemizer
    models = {
        # Where weights lie is no part of what they are: their hash is in the codec's spec.
        "quantize": [manifest.codec.to_json(), {name: value for name, value in manifest.codec_config.items() if not name.endswith("weights")}],
        "phonemize": [phonemizer.name, phonemizer.version, dict(phonemizer.config), manifest.vocabulary.hash],
    }
    return models.get(stage)


@dataclass(frozen=True)
class Donation:
    """What another data set made of a planned utterance: itself or its segments, by id, and the stages whose results may be taken over.

    `speaker` is who spoke as it was planned there, which its segments have unless cutting found another.
    """

    made: Mapping[str, CodedUtterance]
    stages: frozenset[str]
    speaker: str


def offered(order: Sequence[str], ours: Mapping[str, Recipe], theirs: Mapping[str, Recipe], *, same_text: bool, is_complete: bool) -> frozenset[str]:
    """The stages of `order` whose results another data set offers for an utterance with the same sound.

    With another text or language (not `same_text`) these are the stages that depend on nothing but the sound. What makes the sound (decoding, cutting,
    levelling) runs as long as any stage still has to hear it, and where the other data set refused a part of the utterance (not `is_complete`). Cutting
    runs too as long as any stage has to find a text or language again: a segment of another data set has those it got in the end.
    """
    same = {name for name in order if name in theirs and theirs[name].hash == ours[name].hash and (same_text or ours[name].inputs <= {"sound"})}
    hear = {name for name in order if "sound" in STAGES[name].reads}
    make = {name for name in order if "sound" in STAGES[name].writes}
    cut = {name for name in order if STAGES[name].writes} if any(STAGES[name].cuts for name in order) else set[str]()
    return frozenset(same if is_complete and hear | make | cut <= same else same - make)


def run_stage(stage: Stage, works: Sequence[Work], donations: Mapping[str, Donation]) -> StageResult:
    """`stage.run`, but where a donation (by the id of the planned utterance) offers the stage's results they are taken over."""
    given: dict[int, list[Work]] = {}
    for index, work in enumerate(works):
        donation = donations.get(work.planned.utterance.id)
        if donation is not None and stage.name in donation.stages and (taken := _restored(stage, work, donation)):
            given[index] = taken
    return stage.run(works, given)


def _restored(stage: Stage, work: Work, donation: Donation) -> list[Work]:
    """The work as the stage would leave it, nothing where the other data set does not have it."""
    if stage.cuts:
        segments = sorted(donation.made.values(), key=lambda made: (made.utterance.audio.start_s, made.utterance.id))
        return [stage.restore(_as_segment(work, made, donation.speaker), made) for made in segments]
    made = donation.made.get(work.utterance.id)
    if made is None and work.utterance.id == work.planned.utterance.id:  # not cut yet: what is before the cut is told by any of its segments
        made = next(iter(donation.made.values()))
    return [] if made is None else [stage.restore(work, made)]


def _as_segment(work: Work, made: CodedUtterance, planned_speaker: str) -> Work:
    """A segment as its recording was cut there. Its text is the one found later on, which the stages that would find it take over too."""
    audio = replace(work.utterance.audio, start_s=made.utterance.audio.start_s, duration_s=round(made.duration_s, 6))
    as_made = made.utterance
    speaker = work.utterance.speaker if as_made.speaker == planned_speaker else as_made.speaker
    utterance = replace(work.utterance, id=as_made.id, audio=audio, text=as_made.text, speaker=speaker, language=as_made.language)
    return replace(work, utterance=utterance, duration_s=made.duration_s)
