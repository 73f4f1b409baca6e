"""Utterances to listen to: the recording beside what the codec makes of it, as short FLAC files next to the page."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import soundfile
import xxhash
from numpy.typing import NDArray

from valle_data import files
from valle_data.audio import AudioLimits, probe, read_audio
from valle_data.codecs import CODECS
from valle_data.codecs.base import Codec
from valle_data.errors import EnvironmentProblem, InputError, UsageError
from valle_data.records import AudioRef
from valle_data.shards.commit import CommitRecord, read_part_index
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.tar import decode_codes, read_member

AUDIO = "audio"
NUM_SAMPLES = 12
SHORTEST_S, LONGEST_S = 1.0, 15.0
MAX_SAMPLE_RATE_HZ = 48_000
AT_THE_END_S = 0.001


@dataclass(frozen=True)
class Player:
    """A sound of the report: the file's address relative to the page, or why there is none."""

    address: str | None
    problem: str | None = None


@dataclass(frozen=True)
class Sample:
    """An utterance of the report."""

    utterance: str
    speaker: str
    group: str
    language: str
    text: str
    phones: tuple[str, ...]
    duration_s: float
    original: Player
    round_trip: Player


@dataclass(frozen=True)
class SampleSet:
    """The utterances of a report. `codec_problem` says why no round trip can be heard, empty where it can."""

    samples: tuple[Sample, ...]
    codec_problem: str


def choose_rows(rows: pa.Table, seed: int, num: int = NUM_SAMPLES) -> list[int]:
    """Row numbers of `num` utterances: as many speakers as there are, then a second of each, and so on; of listenable length where there are such."""
    duration_s = rows["duration_s"].to_numpy()
    listenable = np.flatnonzero((duration_s >= SHORTEST_S) & (duration_s <= LONGEST_S))
    candidates = np.random.default_rng(seed).permutation(listenable if len(listenable) else rows.num_rows)
    if not len(candidates):
        return []
    people = pc.binary_join_element_wise(rows["group"], rows["speaker"], "\0").combine_chunks()
    speakers = people.dictionary_encode().indices.to_numpy()[candidates]
    order = np.argsort(speakers, kind="stable")
    starts = np.searchsorted(speakers[order], speakers[order], side="left")
    turn = np.empty(len(candidates), dtype=np.int64)
    turn[order] = np.arange(len(order)) - starts
    return sorted(candidates[np.argsort(turn, kind="stable")][:num].tolist())


def load_codec(manifest: DatasetManifest) -> tuple[Codec | None, str]:
    """The codec the data set was made with, or None and why it cannot be had here."""
    name = manifest.codec.name
    try:
        codec = CODECS.build(CODECS[name].Config.model_validate(dict(manifest.codec_config)))
    except (InputError, UsageError, EnvironmentProblem, FileNotFoundError) as error:
        return None, f"The codec {name!r} cannot be loaded here: {error}"
    if codec.spec != manifest.codec:
        return None, f"The data set was made with the codec {manifest.codec}; here is {codec.spec}."
    return codec, ""


def write_samples(dataset: Path, report: Path, manifest: DatasetManifest, records: Sequence[CommitRecord], rows: pa.Table, seed: int) -> SampleSet:
    """Write the sounds of a dozen utterances under `report`/audio and say what they are."""
    files.make_folder(report / AUDIO)
    chosen = choose_rows(rows, seed)
    codec, problem = load_codec(manifest) if chosen else (None, "")
    by_part = {record.part: record for record in records}
    samples = []
    for number in chosen:
        record = by_part[rows["part"][number].as_py()]
        table = read_part_index(dataset, record)
        row = table.filter(pc.equal(table["utt_id"], rows["utt_id"][number].as_py())).to_pylist()[0]
        samples.append(
            Sample(
                utterance=row["utt_id"],
                speaker=row["speaker"],
                group=row["group"],
                language=row["language"],
                text=row["text"],
                phones=tuple(row["phones"]),
                duration_s=row["duration_s"],
                original=_original(report, row, manifest),
                round_trip=_round_trip(report, dataset / "shards" / record.shard, row, codec) if codec else Player(None, "Not there: see above."),
            )
        )
    return SampleSet(tuple(sorted(samples, key=lambda sample: (sample.group, sample.speaker, sample.utterance))), problem)


def remove_stale(report: Path, samples: Sequence[Sample]) -> None:
    """Remove the sounds of an earlier report."""
    wanted = {report / player.address for sample in samples for player in (sample.original, sample.round_trip) if player.address}
    for path in (report / AUDIO).glob("*.flac"):
        if path not in wanted:
            files.discard(path)


def _original(report: Path, row: dict[str, Any], manifest: DatasetManifest) -> Player:
    rate = min(row["sample_rate_hz"], MAX_SAMPLE_RATE_HZ)
    duration_s, limits = row["end_s"] - row["start_s"], AudioLimits(**manifest.stages.get("decode", {}).get("options", {}))
    if not os.path.isabs(row["source_uri"]) and not os.path.exists(row["source_uri"]):
        where = "It is relative to the folder in which `valle prepare` ran; run `valle metadata` there to hear it."
        return Player(None, f"There is no {row['source_uri']!r} here. {where}")
    try:
        rest_s = probe(row["source_uri"], limits).duration_s - row["start_s"]
        if xxhash.xxh3_128_hexdigest(files.read(Path(row["source_uri"]))) != row["source_digest"]:
            return Player(None, "The recording has changed since it was prepared.")
        # Up to the end is asked for as such: a duration rounded at the codec's rate may lie a sample beyond it.
        ref = AudioRef(row["source_uri"], row["start_s"], None if abs(rest_s - duration_s) < AT_THE_END_S else duration_s, row["channel"])
        waveform = read_audio(ref, rate, limits)
    except InputError as error:
        return Player(None, f"The recording cannot be read: {error}")
    return _player(report, f"{row['utt_id']}.recording.flac", waveform[: round(duration_s * rate)], rate)


def _round_trip(report: Path, shard: Path, row: dict[str, Any], codec: Codec) -> Player:
    codes = decode_codes(read_member(shard, row["offset"], row["nbytes"], row["crc32"]))
    rate = codec.spec.sample_rate_hz
    waveform = codec.decode(codes)[: round(row["duration_s"] * rate)]
    return _player(report, f"{row['utt_id']}.{codec.spec.name}.flac", waveform, rate)


def _player(report: Path, name: str, waveform: NDArray[np.float32], sample_rate_hz: int) -> Player:
    data = io.BytesIO()
    soundfile.write(data, np.clip(waveform, -1.0, 1.0), sample_rate_hz, format="FLAC", subtype="PCM_16")
    files.write_atomically(report / AUDIO / name, data.getvalue())
    return Player(f"{AUDIO}/{name}")
