"""Files that no corpus should hold, one function for each kind, and what `valle prepare` is to say of them.

Each is made from a real recording, so that nothing but the fault is wrong with it. `KINDS` has the reason with which it is to be refused, or KEPT: a file
that is only odd and must come through.
"""

import io
import os
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

KEPT = "kept"
TEXT = "one two three"
FORMATS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III")}


@dataclass(frozen=True)
class Given:
    """Where a faulty file goes, and the recording it is made from: samples `[N]` at `rate`.

    `number` tells files of one kind apart; `gain`, a little below 1 and of no two files the same, makes a good copy a recording of its own.
    """

    folder: Path
    number: int
    samples: NDArray[np.float32]
    rate: int
    gain: float

    def path(self, name: str) -> Path:
        return self.folder / name.replace("#", str(self.number))

    def encoded(self, container: str = "wav", samples: NDArray[np.float32] | None = None, subtype: str | None = None, rate: int | None = None) -> bytes:
        """The recording, or `samples`, as the bytes of a file."""
        kind, usual = FORMATS[container]
        file = io.BytesIO()
        soundfile.write(file, self.samples if samples is None else samples, rate or self.rate, format=kind, subtype=subtype or usual)
        return file.getvalue()

    @property
    def pcm(self) -> bytes:
        return (self.samples * 32767).astype("<i2").tobytes()


Maker = Callable[[Given, Path], None]
"""Makes the recording at a path; the text beside it is written by `make`."""


def wav(pcm: bytes, *, channels: int = 1, rate: int = 16000, data_bytes: int | None = None) -> bytes:
    """A WAV file whose header says what it is told to."""
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2 & 0xFFFFFFFF, channels * 2 & 0xFFFF, 16)
    data = struct.pack("<4sI", b"data", len(pcm) if data_bytes is None else data_bytes) + pcm
    return struct.pack("<4sI4s4sI", b"RIFF", 28 + len(data) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16) + fmt + data


def content(make: Callable[[Given], bytes]) -> Maker:
    return lambda given, path: put(path, make(given))


def samples(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Maker:
    """A float WAV of changed samples."""
    return content(lambda given: given.encoded(samples=change(given.samples.copy()).astype(np.float32), subtype="FLOAT"))


def cut(container: str) -> Maker:
    def make(given: Given) -> bytes:
        whole = given.encoded(container)
        return whole[: len(whole) * (5 + given.number % 4) // 10]

    return content(make)


def put(path: Path, data: bytes) -> None:
    """Write bytes under a name that may be no UTF-8."""
    with open(path, "wb") as file:
        file.write(data)


def set_at(place: float, value: float) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def change(wave: NDArray[np.float32]) -> NDArray[np.float32]:
        wave[int(place * len(wave))] = value
        return wave

    return change


def flac_bomb(given: Given, path: Path) -> None:
    """Ten minutes of 8 channels of next to nothing in some kilobytes, 0.9 GB decoded."""
    with soundfile.SoundFile(path, "w", 48000, 8, "PCM_16") as file:
        file.write(np.full((48000, 8), given.number, dtype=np.int16))
        for _ in range(599):
            file.write(np.zeros((48000, 8), dtype=np.int16))


def flac_that_says(share: float) -> Maker:
    """A FLAC file whose header declares a share of the samples that it has."""

    def make(given: Given) -> bytes:
        data = given.encoded("flac")
        packed = int.from_bytes(data[18:26], "big")
        declared = round(share * len(given.samples))
        return data[:18] + (packed & ~((1 << 36) - 1) | declared).to_bytes(8, "big") + data[26:]

    return content(make)


def ogg_bomb(given: Given, path: Path) -> None:
    """A hundred seconds of silence in Ogg, whose length only its last page tells."""
    with soundfile.SoundFile(path, "w", 48000, 2, "VORBIS", format="OGG") as file:
        file.write(np.full((48000, 2), given.number / 1000))
        for _ in range(99):
            file.write(np.zeros((48000, 2)))


def link_loop(_given: Given, path: Path) -> None:
    path.symlink_to(path.name)


def dangling(_given: Given, path: Path) -> None:
    path.symlink_to("nowhere.wav")


@dataclass(frozen=True)
class Kind:
    """A fault. `name` is that of the file, in which # stands for a number; `text` is its transcript, None: it has none."""

    label: str
    reason: str
    name: str
    make: Maker
    text: bytes | None = TEXT.encode()


def whole(given: Given, path: Path) -> None:
    """A good recording."""
    put(path, given.encoded(samples=given.samples * np.float32(given.gain)))


def named(label: str, name: bytes) -> Kind:
    """A good recording with an odd name."""
    return Kind(f"name: {label}", KEPT, os.fsdecode(name), whole)


def text(label: str, reason: str, transcript: bytes | None) -> Kind:
    """A good recording with an odd transcript."""
    name = label.replace(" ", "-")
    return Kind(f"text: {label}", reason, f"text-{name}-#.wav", whole, transcript)


AUDIO = (
    Kind("empty file", "not_audio", "empty-#.wav", content(lambda given: b"")),
    Kind("web page", "not_audio", "page-#.mp3", content(lambda given: b"<!DOCTYPE html><html><body>404 %d</body></html>" % given.number)),
    Kind("random bytes", "not_audio", "random-#.wav", content(lambda given: np.random.default_rng(given.number + 100).bytes(20_000))),
    Kind("directory", "not_audio", "folder-#.wav", lambda _given, path: path.mkdir()),
    Kind("link loop", "not_audio", "loop-#.wav", link_loop),
    Kind("link to nothing", "not_audio", "dangling-#.wav", dangling),
    *(Kind(f"cut {container}", "truncated_audio", f"cut-{container}-#.{container}", cut(container)) for container in FORMATS),
    Kind("4 GB declared", "bad_header", "4gb-#.wav", content(lambda given: wav(given.pcm, data_bytes=0xFFFFFFF0))),
    Kind("0 Hz", "bad_header", "0hz-#.wav", content(lambda given: wav(given.pcm, rate=0))),
    Kind("255 channels", "bad_header", "255ch-#.wav", content(lambda given: wav(given.pcm, channels=255))),
    Kind("16 kHz called 4 MHz", "bad_header", "4mhz-#.wav", content(lambda given: wav(given.pcm, rate=4_000_000))),
    Kind("192 kHz", KEPT, "192khz-#.wav", content(lambda given: given.encoded(samples=np.repeat(given.samples, 12), rate=192_000))),
    Kind("no sample", "empty_audio", "none-#.wav", samples(lambda wave: wave[:0])),
    Kind("one sample", "empty_audio", "one-#.wav", samples(lambda wave: wave[:1])),
    Kind("zeros", "silent_audio", "zeros-#.wav", samples(np.zeros_like)),
    Kind("an offset", "silent_audio", "dc-#.wav", samples(lambda wave: np.full_like(wave, 0.25))),
    Kind("clipped", "clipped_audio", "clipped-#.wav", samples(lambda wave: np.clip(wave * 50, -1, 1))),
    Kind("NaN", "non_finite_audio", "nan-#.wav", samples(set_at(0.9, np.nan))),
    Kind("infinity", "non_finite_audio", "inf-#.wav", samples(set_at(0.9, -np.inf))),
    Kind("1e20", "non_finite_audio", "huge-#.wav", samples(set_at(0.9, 1e20))),
    Kind("FLAC of no length", "bad_header", "unsaid-#.flac", flac_that_says(0)),
    Kind("FLAC that says less", "bad_header", "less-#.flac", flac_that_says(0.5)),
    Kind("FLAC that says more", "truncated_audio", "more-#.flac", flac_that_says(1.5)),
    Kind("FLAC bomb", "too_long", "bomb-#.flac", flac_bomb),
    Kind("Ogg bomb", "too_long", "endless-#.ogg", ogg_bomb),
)
CRASHES = (
    Kind("crashes the decoder", "decoder_crashed", "segv-#.wav", whole),
    Kind("swells in the decoder", "decoder_crashed", "swell-#.wav", whole),
)
HANGS = (Kind("hangs the decoder", "decoder_timeout", "stop-#.wav", whole),)
NAMES = (
    named("spaces and quotes", b'it\'s "so" odd #.wav'),
    named("shell", b"$(id)`id`;#.wav"),
    named("newline", b"line\nbreak-#.wav"),
    named("leading dash", b"-rf-#.wav"),
    named("not UTF-8", b"latin-\xe9-#.wav"),
    named("dots", b"a.b..c.#.flac.wav"),
    named("255 bytes", b"n" * 249 + b"-#.wav"),
)
TEXTS = (
    text("none", "missing_text", None),
    text("empty", "missing_text", b""),
    text("blank", "missing_text", b" \n\t "),
    text("emoji", "text_empty", "\N{GRINNING FACE}\N{PARTY POPPER}".encode()),
    text("100 k characters", "text_too_long", b"one two " * 12_500),
    text("SSML", "text_markup", b"<speak>one <break/> two</speak>"),
    text("espeak codes", "text_markup", b"[[w'Vn]] two"),
    text("not UTF-8", "text_not_utf8", b"caf\xe9 one two"),
    text("Cyrillic in English", "text_wrong_language", "один два три".encode()),
    text("NUL and control", KEPT, b"one\0 two\x07 three"),
    text("bidirectional", KEPT, "one \u202etwo\u202c three".encode()),
)
KINDS = (*AUDIO, *CRASHES, *HANGS, *NAMES, *TEXTS)


def make(kind: Kind, given: Given) -> dict[str, str]:
    """Write the files of one fault; returns path -> reason or KEPT."""
    path = given.path(kind.name)
    kind.make(given, path)
    if kind.text is not None and not path.is_dir():
        put(path.with_suffix(".txt"), kind.text)
    return {str(path): kind.reason}


def make_twins(given: Given) -> dict[str, str]:
    """Two files whose names are equal but for their Unicode form: neither is used."""
    return {path: "duplicate_id" for form in ("NFC", "NFD") for path in make(Kind("", "", unicodedata.normalize(form, "ré-#.wav"), whole), given)}


def make_copy(given: Given) -> dict[str, str]:
    """The very bytes of another file of the corpus, of which one is used."""
    first, second = (given.path(name) for name in ("original-#.wav", "second-#.wav"))
    for path in (first, second):
        put(path, given.encoded(samples=given.samples * np.float32(given.gain)))
        put(path.with_suffix(".txt"), TEXT.encode())
    return {str(first): KEPT, str(second): "duplicate_audio"}


MAKERS: tuple[tuple[str, Callable[[Given], dict[str, str]]], ...] = (
    *((kind.label, partial(make, kind)) for kind in KINDS),
    ("Unicode twins", make_twins),
    ("copy", make_copy),
)
"""Every kind, and what makes its files."""
