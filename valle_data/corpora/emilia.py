"""Emilia and Emilia-YODAS: 216,000 hours of talk from the web in six languages, cut, diarised and transcribed by programs, 24 kHz MP3.

From https://huggingface.co/datasets/amphion/Emilia-Dataset (He et al. 2024), after agreeing to its terms; CC BY-NC 4.0 (Emilia), CC BY 4.0 (YODAS).
Layout, WebDataset archives that are read where they lie:

    Emilia/EN/EN-B000000.tar
        EN_B00000_S00000_W000000.json     {"id", "wav", "text", "duration", "speaker", "language", "dnsmos"}; YODAS has "_id" and no "wav"
        EN_B00000_S00000_W000000.mp3
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from valle_data.corpora.base import Corpus, CorpusConfig, Item, Refusal
from valle_data.corpora.reading.languages import language_tag
from valle_data.corpora.reading.pairs import Sample, read_samples
from valle_data.corpora.reading.tar import read_bytes
from valle_data.corpora.reading.text import MAX_JSON_BYTES, decode_json
from valle_data.corpora.reading.walk import walk
from valle_data.errors import InputError, ReasonCode, UsageError

KEPT = ("dnsmos", "phone_count", "id", "_id")
LICENCE, YODAS, YODAS_LICENCE = "CC BY-NC 4.0", "Emilia-YODAS", "CC BY 4.0"


class EmiliaCorpus(Corpus):
    """See the module. Groups are the folders that archives lie in."""

    class Config(CorpusConfig):
        """Nothing but what every corpus can be told. Archives below Emilia-YODAS have their own licence, unless another one is given here."""

        name: str = "emilia"
        licence: str = LICENCE

    def scan(self) -> Iterator[Item | Refusal]:
        has_any = False
        for found in walk(self.root, ("tar", "tar.gz", "tgz")):
            has_any = True
            if found.reason is not None:
                yield Refusal(found.path, found.reason, found.problem)
            elif not found.path.lower().endswith(".tar"):
                yield Refusal(found.path, ReasonCode.CORRUPT_ARCHIVE, "It is packed; members are read where they lie, so unpack it first (gunzip).")
            else:
                yield from self._archive(found.path)
        if not has_any:
            raise UsageError(f"`corpus.root` = {self.root!r} is no Emilia: there is no .tar in it. Name the folder with the archives.")

    def _archive(self, archive: str) -> Iterator[Item | Refusal]:
        for sample in read_samples(self.place(archive), archive):
            if isinstance(sample, Refusal):
                yield sample
                continue
            try:
                yield self._item(archive, sample)
            except InputError as error:
                if error.reason is ReasonCode.STORAGE_FAILED:
                    raise
                yield Refusal(f"{archive}/{sample.key}", error.reason, str(error.args[0]))

    def _item(self, archive: str, sample: Sample) -> Item | Refusal:
        audio, said = sample.audio, sample.members.get("json")
        if audio is None or said is None:
            wanted = "recording" if audio is None else ".json"
            return Refusal(f"{archive}/{sample.key}", ReasonCode.BAD_ROW, f"A sample has a recording and a .json; the {wanted} of {sample.key!r} is missing.")
        if said.nbytes > MAX_JSON_BYTES:
            raise InputError(ReasonCode.BAD_ROW, f"{said.name!r} has {said.nbytes} bytes; what is said of a recording has at most {MAX_JSON_BYTES}.")
        values = decode_json(read_bytes(self.place(archive), said), said.name)
        is_yodas = self.config.licence == LICENCE and YODAS in self.place(archive).split("/")
        return Item(
            path=archive,
            member=audio.name,
            offset=audio.offset,
            nbytes=audio.nbytes,
            text=_text(values, "text").strip(),
            speaker=_text(values, "speaker"),
            group=os.path.dirname(archive),
            language=language_tag(_text(values, "language")),
            extra={name: str(values[name]) for name in KEPT if values.get(name) is not None} | ({"licence": YODAS_LICENCE} if is_yodas else {}),
        )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise InputError(ReasonCode.BAD_ROW, f"Its .json has {name} = {value!r:.60}, which is not a string.")
    return value or ""
