"""What `valle synth` is asked to say: arguments, lines of a file, lines of standard input."""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from valle_data.errors import InputError, ReasonCode, UsageError


def gather_texts(arguments: Sequence[str], text_file: Path | None, standard_input: TextIO) -> tuple[str, ...]:
    """The texts in the order they were given, file last; empty lines are skipped. Raises UsageError when nothing is left to say."""
    texts: list[str] = []
    for argument in arguments:
        texts.extend(standard_input.read().splitlines() if argument == "-" else [argument])
    if text_file is not None:
        texts.extend(_lines(text_file))
    spoken = tuple(text.strip() for text in texts if text.strip())
    if not spoken:
        raise UsageError('There is nothing to say. Give a text between quotes, `--text-file FILE`, or `-` for standard input: valle synth "one two" -c RUN')
    return spoken


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(ReasonCode.TEXT_NOT_UTF8, f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise UsageError(f"The text file {path} cannot be read: {error.strerror}.") from error
