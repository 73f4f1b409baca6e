"""Weights of the Hugging Face hub, from the usual cache or fetched, and a sentence where they are neither."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from valle_data.errors import EnvironmentProblem


def hub_file(repository: str, file: str, *, user: str, weights: Path | None = None) -> Path:
    """`weights` if it is given, else the file of `repository` (`owner/name`). Raises EnvironmentProblem, which names `user`, where there is none."""
    if weights is not None:
        return _existing(weights, weights.is_file(), user=user, wanted="a file")
    try:
        return Path(hf_hub_download(repository, file))
    except LocalEntryNotFoundError as error:
        raise _unreachable(f"{file} of {repository}", f"hf download {repository} {file}", user) from error


def hub_folder(repository: str, files: Sequence[str], *, user: str, weights: Path | None = None) -> Path:
    """`weights` if it is given, else the folder with those of `files` (patterns) that `repository` has. Raises EnvironmentProblem."""
    if weights is not None:
        return _existing(weights, weights.is_dir(), user=user, wanted="a folder")
    try:
        return Path(snapshot_download(repository, allow_patterns=list(files)))
    except LocalEntryNotFoundError as error:
        raise _unreachable(repository, f"hf download {repository}", user) from error


def _existing(path: Path, exists: bool, *, user: str, wanted: str) -> Path:
    if not exists:
        raise EnvironmentProblem(f"{user} needs {wanted} as `weights`; {str(path)!r} is none. Correct the path.")
    return path


def _unreachable(what: str, command: str, user: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{user} needs {what}, which is not in the cache and cannot be fetched here. "
        f"Fetch it on a machine with a network (`{command}`) and name it as `weights`."
    )
