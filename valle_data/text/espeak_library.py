"""The espeak-ng library that espeakng-loader carries, through its C interface (speak_lib.h): loaded once a language and process, never copied to a disk.

espeak keeps global state, so one thread speaks with an instance at a time.
"""

import ctypes
import os
import re
import threading
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

from valle_data.errors import EnvironmentProblem

AUDIO_OUTPUT_SYNCHRONOUS = 0x02
INITIALIZE_DONT_EXIT = 0x8000
UTF8 = 1
SEPARATOR = "_"
IPA_WITH_SEPARATOR = ord(SEPARATOR) << 8 | 0x02
MAX_HELD = 16
NOT_LOADING = "espeak-ng does not load: {}. Reinstall it: pip install --force-reinstall espeakng-loader"


class _VoiceStruct(ctypes.Structure):
    """`espeak_VOICE`. `languages` begins with a priority byte, then the tag."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class _Instance:
    """One espeak with its own global state: what it is asked, it is asked by one thread at a time."""

    def __init__(self, path: str, data: Path) -> None:
        library = ctypes.CDLL(path)
        library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_Info.argtypes = [ctypes.c_void_p]
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceStruct))
        library.espeak_ListVoices.argtypes = [ctypes.c_void_p]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        if library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data), INITIALIZE_DONT_EXIT) <= 0:
            raise EnvironmentProblem(NOT_LOADING.format(f"its data in {data} cannot be used"))
        self.library = library
        self._lock = threading.Lock()
        self._voice = ""

    def speak(self, text: str, identifier: str) -> str:
        spoken: list[str] = []
        with self._lock:
            if self._voice != identifier:
                if self.library.espeak_SetVoiceByName(identifier.encode()) != 0:
                    raise EnvironmentProblem(NOT_LOADING.format(f"its voice {identifier} cannot be used"))
                self._voice = identifier
            rest = ctypes.c_char_p(text.encode())
            while rest.value is not None:
                spoken.append((self.library.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, IPA_WITH_SEPARATOR) or b"").decode())
        return " ".join(clause for clause in spoken if clause)

    def voices(self) -> Iterator[tuple[str, str, str]]:
        """Tag, name and identifier of every voice, the most relevant first."""
        with self._lock:
            listed = self.library.espeak_ListVoices(None)
            index = 0
            while listed[index]:
                voice = listed[index].contents
                yield os.fsdecode(voice.languages)[1:], os.fsdecode(voice.name).replace("_", " "), os.fsdecode(voice.identifier)
                index += 1


class EspeakLibrary:
    """espeak in this process. Raises EnvironmentProblem where it does not load.

    espeak leaks 1.3 kB whenever a voice is chosen (1.52), so each of the first `MAX_HELD` languages keeps an instance of its own; further ones share one.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader

            self._path = str(espeakng_loader.get_library_path())
            self._data = Path(espeakng_loader.get_data_path())
            self._first = _Instance(self._path, self._data)
        except (ImportError, OSError, AttributeError) as error:
            raise EnvironmentProblem(NOT_LOADING.format(error)) from error
        self._held: dict[str, _Instance] = {}
        self._lock = threading.Lock()

    @cached_property
    def version(self) -> str:
        return self._first.library.espeak_Info(None).decode().split()[0].removesuffix("-dev")

    @cached_property
    def voices(self) -> dict[str, str]:
        """Tags of the voices whose dictionary is installed -> names; a voice without one would read letters."""
        return {tag: name for tag, (name, _) in self._found.items()}

    @cached_property
    def _found(self) -> dict[str, tuple[str, str]]:
        """Tag -> name and identifier of the first, most relevant voice."""
        found: dict[str, tuple[str, str]] = {}
        for tag, name, identifier in self._first.voices():
            if tag not in found and self._has_dictionary(tag, identifier):
                found[tag] = (name, identifier)
        return found

    def _has_dictionary(self, tag: str, identifier: str) -> bool:
        description = self._data / "lang" / identifier
        if not description.is_file():
            return False
        named = re.search(r"^dictionary\s+(\S+)", description.read_text(encoding="utf-8"), re.MULTILINE)
        name = named.group(1) if named else tag.split("-")[0]
        return (self._data / f"{name}_dict").is_file()

    def speak(self, text: str, tag: str) -> str:
        """IPA of `text`, phones separated by "_" and words by spaces, with "(en)" where espeak changes the language; `tag` is one of `voices`."""
        instance = self._held.get(tag) or self._instance(tag)
        return instance.speak(text, self._found[tag][1])

    def _instance(self, tag: str) -> _Instance:
        """Who speaks a language: the library itself for the first one, then copies of it that live in memory alone, so that a kill leaves no file."""
        with self._lock:
            if tag in self._held:
                return self._held[tag]
            if len(self._held) >= MAX_HELD:
                return self._first
            self._held[tag] = self._copy() if self._held else self._first
            return self._held[tag]

    def _copy(self) -> _Instance:
        if not hasattr(os, "memfd_create"):  # not Linux
            return self._first
        # The file stays open: the loader takes a second library of the same name for the first one.
        file = os.fdopen(os.memfd_create("espeak-ng"), "wb", closefd=False)
        file.write(Path(self._path).read_bytes())
        file.flush()
        try:
            return _Instance(f"/proc/self/fd/{file.fileno()}", self._data)
        except OSError:  # a system that runs nothing from memory
            return self._first


def espeak_library() -> EspeakLibrary:
    """The library of this process."""
    return _of_process(os.getpid())


# Keyed by process: after a fork another thread of the parent may have held a lock.
@cache
def _of_process(process: int) -> EspeakLibrary:
    return EspeakLibrary()
