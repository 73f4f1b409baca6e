"""Which files a folder holds, in one order on every machine."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from valle_data.errors import InputError, ReasonCode


@dataclass(frozen=True)
class Found:
    """A path below the folder, `/` between its parts. `problem` says why it can be no recording."""

    path: str
    problem: str | None = None


def walk(root: str, extensions: tuple[str, ...]) -> list[Found]:
    """Everything below `root` whose name ends in one of `extensions` (lower case, without dot), sorted by the bytes of its path.

    Links to files and folders are followed, except into a folder that the link itself lies in. Names that begin with a dot are skipped: they are
    hidden by intention, or are the `._name` leftovers of another file system.
    """
    suffixes = tuple(f".{extension.lower()}" for extension in extensions)
    status = os.stat(root)
    found = _walk(root, "", frozenset({(status.st_dev, status.st_ino)}), suffixes)
    return sorted(found, key=lambda item: os.fsencode(item.path))


def _walk(root: str, folder: str, above: frozenset[tuple[int, int]], suffixes: tuple[str, ...]) -> Iterator[Found]:
    try:
        entries = list(os.scandir(os.path.join(root, folder)))
    except OSError as error:
        raise InputError(
            ReasonCode.STORAGE_FAILED, f"{os.path.join(root, folder)!r} cannot be listed: {error.strerror}. Its recordings would be missing."
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{folder}/{entry.name}" if folder else entry.name
        is_candidate = entry.name.lower().endswith(suffixes)
        try:
            status = entry.stat()
        except OSError as error:
            if is_candidate:
                yield Found(path, f"The link leads to {os.path.realpath(entry.path)!r}: {error.strerror}.")
            continue
        identity = (status.st_dev, status.st_ino)
        if entry.is_dir():
            if is_candidate:
                yield Found(path, "It is a directory with the name of a recording.")
            elif identity not in above:
                yield from _walk(root, path, above | {identity}, suffixes)
        elif is_candidate:
            yield Found(path)
