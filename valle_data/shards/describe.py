"""The description of an utterance: JSON that lies beside its codes in a shard.

It holds everything the index knows of the utterance, so that an index that is lost is made again, to the byte, from the shard. `codes_crc32` is the checksum
of the codes' bytes (uint16 little endian, level by level) and `checksum` that of the rest, so that a sample proves itself wherever it is found.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, CodedUtterance, Utterance
from valle_data.shards.base import Sample, check_id
from valle_data.shards.index import printable

FIRST_BYTES = b'{"channel": '
USUAL_BYTES, LONGEST_BYTES = 1 << 16, 1 << 22


def sample_of(coded: CodedUtterance) -> Sample:
    """What a shard holds of an utterance. InputError `unsafe_member` for an id that a reader could misread."""
    check_id(coded.utterance.id)
    return Sample(coded.utterance.id, coded.codes, text_of(describe(coded)))


def describe(coded: CodedUtterance) -> dict[str, Any]:
    """See the module; without `checksum`."""
    utterance, audio = coded.utterance, coded.utterance.audio
    return {
        "id": utterance.id,
        "planned_id": coded.planned_id,
        "text": utterance.text,
        "text_normalized": coded.text_normalized,
        "phones": list(coded.phones),
        "speaker": utterance.speaker,
        "group": utterance.group,
        "corpus": utterance.corpus,
        "language": utterance.language,
        "licence": utterance.extra.get("licence"),
        "source_uri": printable(audio.path),
        "source_digest": coded.source_digest,
        "start_s": audio.start_s,
        "channel": audio.channel,
        "sample_rate_hz": coded.source_sample_rate_hz,
        "duration_s": float(coded.duration_s),
        "num_levels": int(coded.codes.shape[0]),
        "num_frames": int(coded.codes.shape[1]),
        "codes_crc32": codes_crc32(coded.codes),
        "scores": {name: value if value is None or isinstance(value, str) else float(value) for name, value in sorted(coded.scores.items())},
    }


def codes_crc32(codes: NDArray[np.uint16]) -> int:
    return zlib.crc32(np.ascontiguousarray(codes, dtype="<u2").data)


def text_of(description: Mapping[str, Any]) -> bytes:
    """The bytes of a description: keys sorted, ASCII, its checksum among them."""
    body = _dump(description)
    return _dump({**description, "checksum": zlib.crc32(body)})


def _dump(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=True, sort_keys=True).encode()


@dataclass(frozen=True)
class Description:
    """A description that has proved itself; `nbytes` is its length where it was found."""

    values: Mapping[str, Any]
    nbytes: int

    @property
    def id(self) -> str:
        return self.values["id"]

    @property
    def shape(self) -> tuple[int, int]:
        """`(Q, T)`."""
        return self.values["num_levels"], self.values["num_frames"]

    @property
    def code_bytes(self) -> int:
        return 2 * self.values["num_levels"] * self.values["num_frames"]

    def fits(self, codes: bytes | memoryview) -> bool:
        """Whether these are the bytes of its codes."""
        return len(codes) == self.code_bytes and zlib.crc32(codes) == self.values["codes_crc32"]

    def sample(self, codes: bytes | memoryview) -> Sample:
        return Sample(self.id, np.frombuffer(codes, dtype="<u2").reshape(self.shape), text_of(self.values))


def find_description(data: memoryview) -> Description | None:
    """The description that `data` begins with, None where there is none or its checksum differs."""
    return _find(data[:USUAL_BYTES]) or (_find(data[:LONGEST_BYTES]) if len(data) > USUAL_BYTES else None)


def _find(data: memoryview) -> Description | None:
    try:
        # Whatever follows the description may be no text at all; Latin-1 reads any byte.
        values, length = json.JSONDecoder().raw_decode(bytes(data).decode("latin-1"))
        checksum = values.pop("checksum")
        found = Description(values, length)
        check_id(found.id)
        is_whole = zlib.crc32(_dump(values)) == checksum and text_of(values) == bytes(data[:length]) and min(found.shape) >= 0 <= values["codes_crc32"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found if is_whole else None


def parse(text: bytes, where: str) -> Description:
    """The description that `text` is; InputError `corrupt_shard` when it is damaged. `where` names it in the message."""
    found = find_description(memoryview(text))
    if found is None or found.nbytes != len(text):
        raise InputError(ReasonCode.CORRUPT_SHARD, f"{where}: the description does not match its checksum; it begins with {text[:60]!r}.")
    return found


def restore(sample: Sample, where: str) -> CodedUtterance:
    """The utterance a sample was made of, as far as its index knows it: vectors lie elsewhere, bytes of its path that are no UTF-8 stay written out."""
    values = parse(sample.text, where).values
    try:
        audio = AudioRef(values["source_uri"], values["start_s"], None, values["channel"])
        extra = {} if values["licence"] is None else {"licence": values["licence"]}
        utterance = Utterance(sample.id, audio, values["text"], values["speaker"], values["group"], values["language"], extra, values["corpus"])
        return CodedUtterance(
            utterance=utterance,
            phones=tuple(values["phones"]),
            codes=sample.codes,
            duration_s=values["duration_s"],
            source_digest=values["source_digest"],
            text_normalized=values["text_normalized"],
            scores=values["scores"],
            source_sample_rate_hz=values["sample_rate_hz"],
            planned_id=values["planned_id"],
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            ReasonCode.DATASET_MISMATCH, f"{where}: the description of {sample.id} is of another version ({type(error).__name__}: {error})."
        ) from error
