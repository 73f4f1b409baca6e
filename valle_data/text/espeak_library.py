"""The espeak-ng library that espeakng-loader carries, through its C interface (speak_lib.h): loaded once a process, in place, never copied.

espeak keeps global state, so one thread speaks at a time; choosing another voice takes some 60 microseconds.
"""

import ctypes
import os
import re
import threading
from functools import cache, cached_property
from pathlib import Path

from valle_data.errors import EnvironmentProblem

AUDIO_OUTPUT_SYNCHRONOUS = 0x02
INITIALIZE_DONT_EXIT = 0x8000
UTF8 = 1
SEPARATOR = "_"
IPA_WITH_SEPARATOR = ord(SEPARATOR) << 8 | 0x02
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


class EspeakLibrary:
    """espeak in this process. Raises EnvironmentProblem where it does not load."""

    def __init__(self) -> None:
        try:
            import espeakng_loader

            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
            self._data = Path(espeakng_loader.get_data_path())
            self._declare()
        except (ImportError, OSError, AttributeError) as error:
            raise EnvironmentProblem(NOT_LOADING.format(error)) from error
        if self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(self._data), INITIALIZE_DONT_EXIT) <= 0:
            raise EnvironmentProblem(NOT_LOADING.format(f"its data in {self._data} cannot be used"))
        self._lock = threading.Lock()
        self._voice = ""

    def _declare(self) -> None:
        library = self._library
        library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_Info.argtypes = [ctypes.c_void_p]
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceStruct))
        library.espeak_ListVoices.argtypes = [ctypes.c_void_p]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]

    @cached_property
    def version(self) -> str:
        return self._library.espeak_Info(None).decode().split()[0].removesuffix("-dev")

    @cached_property
    def voices(self) -> dict[str, str]:
        """Tags of the voices whose dictionary is installed -> names; a voice without one would read letters."""
        return {tag: name for tag, (name, _) in self._found.items()}

    @cached_property
    def _found(self) -> dict[str, tuple[str, str]]:
        """Tag -> name and identifier of the first, most relevant voice."""
        found: dict[str, tuple[str, str]] = {}
        with self._lock:
            voices = self._library.espeak_ListVoices(None)
            index = 0
            while voices[index]:
                voice = voices[index].contents
                tag, identifier = os.fsdecode(voice.languages)[1:], os.fsdecode(voice.identifier)
                if tag not in found and self._has_dictionary(tag, identifier):
                    found[tag] = (os.fsdecode(voice.name).replace("_", " "), identifier)
                index += 1
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
        identifier = self._found[tag][1]
        spoken: list[str] = []
        with self._lock:
            if self._voice != tag:
                if self._library.espeak_SetVoiceByName(identifier.encode()) != 0:
                    raise EnvironmentProblem(NOT_LOADING.format(f"its voice {identifier} cannot be used"))
                self._voice = tag
            rest = ctypes.c_char_p(text.encode())
            while rest.value is not None:
                spoken.append((self._library.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, IPA_WITH_SEPARATOR) or b"").decode())
        return " ".join(clause for clause in spoken if clause)


def espeak_library() -> EspeakLibrary:
    """The library of this process."""
    return _of_process(os.getpid())


# Keyed by process: after a fork another thread of the parent may have held the lock.
@cache
def _of_process(process: int) -> EspeakLibrary:
    return EspeakLibrary()
