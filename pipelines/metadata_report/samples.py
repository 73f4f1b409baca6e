"""Utterances to read and listen to: what the index says of them, the recording, and what the codec makes of it, as short FLAC files next to the page."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import io
import os
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import soundfile
from numpy.typing import NDArray

from valle_data import files
from valle_data.audio import AudioLimits, probe, read_audio
from valle_data.codecs.base import Codec
from valle_data.codecs.opened import open_codec
from valle_data.errors import EnvironmentProblem, InputError, ReasonCode, UsageError
from valle_data.records import AudioRef
from valle_data.shards.commit import read_part_index
from valle_data.shards.manifest import DatasetManifest
from valle_data.shards.plan import plan_files
from valle_data.shards.record import CommitRecord, shard_format
from valle_data.source import audio_digest

AUDIO = "audio"
MAX_SAMPLE_RATE_HZ = 48_000
AT_THE_END_S = 0.001
COLUMNS = (
    "utt_id planned_id part offset nbytes crc32 num_levels source_uri source_digest start_s end_s duration_s sample_rate_hz channel language group speaker "
    "text phones"
).split()
RECORDING, ROUND_TRIP = "recording", "codec round trip"


@dataclass(frozen=True)
class Player:
    """A sound of the report: the file's address relative to the page, or why there is none."""

    address: str | None
    problem: str | None = None


@dataclass(frozen=True)
class Sample:
    """An utterance of the report; `players` have labels."""

    utterance: str
    speaker: str
    group: str
    language: str
    text: str
    phones: tuple[str, ...]
    duration_s: float
    players: tuple[tuple[str, Player], ...] = ()


def load_codec(manifest: DatasetManifest) -> tuple[Codec | None, str]:
    """The codec the data set was made with, or None and why it cannot be had here."""
    name = manifest.codec.name
    try:
        return open_codec(manifest.codec, manifest.codec_config), ""
    except (InputError, UsageError, EnvironmentProblem, FileNotFoundError) as error:
        return None, f"The codec {name!r} cannot be loaded here: {error}"


def fetch(dataset: Path, records: Sequence[CommitRecord], rows: pa.Table, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
    """What the index says (`COLUMNS`) of the rows `numbers` of `rows` (columns `utt_id`, `part`, `speaker`); every part is read once.

    `within` is the range of bytes of a recording that lies in an archive, from the plan, where it is known; None for one that is a file.
    """
    wanted = pa.array(sorted(set(numbers)), pa.int64())
    chosen = rows.select(["utt_id", "part", "speaker"]).take(wanted)
    found: dict[int, dict[str, Any]] = {}
    by_part = {record.part: record for record in records}
    for part in pc.unique(chosen["part"]).to_pylist():
        mask = pc.equal(chosen["part"], part)
        mine = chosen.filter(mask)
        table = read_part_index(dataset, by_part[part]).select(COLUMNS)
        places = pc.index_in(mine["utt_id"].combine_chunks(), value_set=table["utt_id"].combine_chunks())
        for number, speaker, row in zip(
            wanted.filter(mask.combine_chunks()).to_pylist(), mine["speaker"].to_pylist(), table.take(places).to_pylist(), strict=True
        ):
            found[number] = row | {"speaker": speaker}
    within = _ranges(dataset, {row["planned_id"] or row["utt_id"] for row in found.values()}, {row["part"] for row in found.values()})
    return {number: row | {"within": within.get(row["planned_id"] or row["utt_id"])} for number, row in found.items()}


def _ranges(dataset: Path, utterances: Collection[str], parts: Collection[int]) -> dict[str, tuple[int, int]]:
    """Offset and size of the recordings of planned `utterances`, as far as they lie in archives and the plan of their `parts` is still there."""
    found: dict[str, tuple[int, int]] = {}
    for file in plan_files(dataset):
        if any(file.first <= part <= file.last for part in parts):
            table = file.rows().select(["utt_id", "offset", "nbytes"])
            mask = pc.and_(pc.is_in(table["utt_id"], value_set=pa.array(sorted(utterances), pa.string())), pc.is_valid(table["offset"]))
            found |= {row["utt_id"]: (row["offset"], row["nbytes"]) for row in table.filter(mask).to_pylist()}
    return found


class Sounds:
    """Writes sounds under `report`/audio, each once, and remembers which. `codec` None: there are no round trips, and no one asks for them."""

    def __init__(self, dataset: Path, report: Path, manifest: DatasetManifest, records: Sequence[CommitRecord], codec: Codec | None) -> None:
        self._dataset, self._report, self._codec = dataset, report, codec
        self._records: Mapping[int, CommitRecord] = {record.part: record for record in records}
        self._limits = AudioLimits(**manifest.stages.get("decode", {}).get("options", {}))
        self._known: dict[str, Player] = {}
        self._digests: dict[tuple[str, int | None], str] = {}
        files.make_folder(report / AUDIO)

    def sample(self, row: dict[str, Any], labels: Sequence[str] = (RECORDING,)) -> Sample:
        """The utterance of `row` with the players of `labels`."""
        makers = {RECORDING: self._recording, ROUND_TRIP: self._round_trip}
        players = tuple((label, self._once(f"{row['utt_id']}.{label}", makers[label], row)) for label in labels)
        return Sample(row["utt_id"], row["speaker"], row["group"], row["language"], row["text"], tuple(row["phones"]), row["duration_s"], players)

    def _once(self, key: str, make: Any, row: dict[str, Any]) -> Player:
        if key not in self._known:
            self._known[key] = make(row)
        return self._known[key]

    def remove_stale(self) -> None:
        """Remove the sounds of an earlier report."""
        wanted = {self._report / player.address for player in self._known.values() if player.address}
        for path in (self._report / AUDIO).glob("*.flac"):
            if path not in wanted:
                files.discard(path)

    def _recording(self, row: dict[str, Any]) -> Player:
        rate, uri = min(row["sample_rate_hz"], MAX_SAMPLE_RATE_HZ), row["source_uri"]
        duration_s = row["end_s"] - row["start_s"]
        if not os.path.isabs(uri) and not os.path.exists(uri):
            where = "It is relative to the folder in which `valle prepare` ran; run `valle metadata` there to hear it."
            return Player(None, f"There is no {uri!r} here. {where}")
        offset, nbytes = row["within"] or (None, None)
        whole = AudioRef(uri, channel=row["channel"], offset=offset, nbytes=nbytes)
        try:
            rest_s = probe(whole, self._limits).duration_s - row["start_s"]
            if self._digest(whole) != row["source_digest"]:
                return Player(None, "The recording has changed since it was prepared.")
            # Up to the end is asked for as such: a duration rounded at the codec's rate may lie a sample beyond it.
            ref = replace(whole, start_s=row["start_s"], duration_s=None if abs(rest_s - duration_s) < AT_THE_END_S else duration_s)
            waveform = read_audio(ref, rate, self._limits)
        except InputError as error:
            return Player(None, f"The recording cannot be read: {error}")
        return self._write(f"{row['utt_id']}.recording.flac", waveform[: round(duration_s * rate)], rate)

    def _digest(self, whole: AudioRef) -> str:
        """Of a whole recording, remembered: many utterances may be of one."""
        key = whole.path, whole.offset
        if key not in self._digests:
            try:
                self._digests[key] = audio_digest(whole)
            except OSError as error:
                raise InputError(ReasonCode.STORAGE_FAILED, f"{whole.path}: {error.strerror}") from error
        return self._digests[key]

    def _round_trip(self, row: dict[str, Any]) -> Player:
        if self._codec is None:
            return Player(None, "Not there: see above.")
        record = self._records[row["part"]]
        path = self._dataset / "shards" / record.shard
        member = bytes(files.read_ranges(path, [(row["offset"], row["offset"] + row["nbytes"])])[0])
        if zlib.crc32(member) != row["crc32"]:
            message = f"{path}: the codes of {row['utt_id']} should have crc32 {row['crc32']:08x}, they have {zlib.crc32(member):08x}."
            raise InputError(ReasonCode.CORRUPT_SHARD, f"{message} `valle metadata {self._dataset} --check` lists all damage.")
        rate = self._codec.spec.sample_rate_hz
        waveform = self._codec.decode(shard_format(record).codes(member, row["num_levels"]))[: round(row["duration_s"] * rate)]
        return self._write(f"{row['utt_id']}.{self._codec.spec.name}.flac", waveform, rate)

    def _write(self, name: str, waveform: NDArray[np.float32], sample_rate_hz: int) -> Player:
        data = io.BytesIO()
        soundfile.write(data, np.clip(waveform, -1.0, 1.0), sample_rate_hz, format="FLAC", subtype="PCM_16")
        files.write_atomically(self._report / AUDIO / name, data.getvalue())
        return Player(f"{AUDIO}/{name}")
