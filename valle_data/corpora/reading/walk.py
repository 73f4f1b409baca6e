"""Which files a folder holds, a name at a time."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from valle_data.errors import InputError, ReasonCode

AUDIO_EXTENSIONS = ("wav", "flac", "ogg", "oga", "opus", "mp3")


@dataclass(frozen=True)
class Found:
    """A path below the folder, `/` between its parts. `reason` and `problem` say why it can be no recording."""

    path: str
    reason: ReasonCode | None = None
    problem: str = ""


def walk(root: str, extensions: tuple[str, ...] = AUDIO_EXTENSIONS) -> Iterator[Found]:
    """Everything below `root` whose name ends in one of `extensions` (lower case, without dot), in the order of the file system.

    Links to files and folders are followed, except into a folder that the link itself lies in. Names that begin with a dot are skipped: they are
    hidden by intention, or are the `._name` leftovers of another file system. Of two names that differ only in their Unicode form neither is used.
    """
    suffixes = tuple(f".{extension.lower()}" for extension in extensions)
    status = os.stat(root)
    yield from _walk(root, "", frozenset({(status.st_dev, status.st_ino)}), suffixes)


def _walk(root: str, folder: str, above: frozenset[tuple[int, int]], suffixes: tuple[str, ...]) -> Iterator[Found]:
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    yield from _look(root, f"{folder}/{entry.name}" if folder else entry.name, entry, above, suffixes)
    except OSError as error:
        raise InputError(
            ReasonCode.STORAGE_FAILED, f"{os.path.join(root, folder)!r} cannot be listed: {error.strerror}. Its recordings would be missing."
        ) from error


def _look(root: str, path: str, entry: "os.DirEntry[str]", above: frozenset[tuple[int, int]], suffixes: tuple[str, ...]) -> Iterator[Found]:
    is_candidate = entry.name.lower().endswith(suffixes)
    try:
        status = entry.stat() if entry.is_symlink() or not is_candidate or entry.is_dir() else None
    except OSError as error:
        if is_candidate:
            yield Found(path, ReasonCode.NOT_AUDIO, f"The link leads to {os.path.realpath(entry.path)!r}: {error.strerror}.")
        return
    if entry.is_dir():
        identity = (status.st_dev, status.st_ino) if status else None
        if is_candidate:
            yield Found(path, ReasonCode.NOT_AUDIO, "It is a directory with the name of a recording.")
        elif identity is not None and identity not in above:
            yield from _walk(root, path, above | {identity}, suffixes)
    elif is_candidate:
        twin = None if path.isascii() else _twin(root, path)
        yield Found(path) if twin is None else Found(path, ReasonCode.DUPLICATE_ID, _twin_message(twin))


def _twin(root: str, path: str) -> str | None:
    """Another file whose name differs from `path` only in its Unicode form (NFC, NFD). A file system that knows one form gives the same file for both."""
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, path)
        if other != path and os.path.lexists(os.path.join(root, other)):
            ours, theirs = os.lstat(os.path.join(root, path)), os.lstat(os.path.join(root, other))
            if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
                return other
    return None


def _twin_message(twin: str) -> str:
    return f"Its name differs from {twin!a} only in its Unicode form; remove or rename one of them."
