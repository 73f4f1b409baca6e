"""Which phonemizers this installation has: for `valle doctor` and `valle explain`."""

from dataclasses import dataclass

from valle_data.errors import EnvironmentProblem
from valle_data.text.espeak_library import espeak_library
from valle_data.text.phonemizers import PHONEMIZERS

SPEAKS = {"japanese": "ja", "mandarin": "zh, cmn", "korean": "ko", "characters": "any language, by its letters", "multilingual": "what the others speak"}


@dataclass(frozen=True)
class Engine:
    """A phonemizer of the table. `version` is empty and `problem` says what is missing, with the install line, where it cannot be used."""

    name: str
    speaks: str
    version: str = ""
    problem: str = ""


def installed_engines() -> list[Engine]:
    """Every phonemizer of the table, in its order; nothing is raised for what is missing."""
    return [_look(name) for name in PHONEMIZERS]


def _look(name: str) -> Engine:
    try:
        speaks = SPEAKS.get(name) or f"{len(espeak_library().voices)} languages"
        made = PHONEMIZERS[name](PHONEMIZERS[name].Config())
        return Engine(name, speaks, made.version)
    except EnvironmentProblem as error:
        return Engine(name, SPEAKS.get(name, ""), problem=str(error))
