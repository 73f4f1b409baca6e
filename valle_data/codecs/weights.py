"""Where the weights of published codecs come from, and how their files are read without running what is in them."""

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from valle_data.errors import EnvironmentProblem, InputError, ReasonCode


@dataclass(frozen=True)
class WeightsFile:
    """What a file holds: `tensors` by name, and the options of the model class where its publisher wrote them down."""

    tensors: Mapping[str, Tensor]
    options: Mapping[str, Any]


def sha256(path: Path) -> str:
    """Of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path, codec: str, allowed: Sequence[Any] = ()) -> WeightsFile:
    """Tensors of a `.safetensors` file, or of a file of `torch.save`, which is read without running anything in it.

    A `torch.save` file is a state dict, or holds one as `state_dict` beside `metadata.kwargs`; the header of a safetensors file may hold the same
    options as JSON under `kwargs`. `allowed` are classes beyond torch's own that such a file may make. Raises EnvironmentProblem where there is no
    file, InputError `checkpoint_mismatch` where it is damaged or would need more.
    """
    if not path.is_file():
        raise EnvironmentProblem(
            f"There is no weights file {str(path)!r} for the codec {codec!r}. Correct `weights`, or leave it out to use the downloaded file."
        )
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
                return WeightsFile(tensors, json.loads((file.metadata() or {}).get("kwargs", "{}")))
        with torch.serialization.safe_globals(list(allowed)):
            content = torch.load(path, map_location="cpu", weights_only=True)
        if "state_dict" in content:
            return WeightsFile(content["state_dict"], content.get("metadata", {}).get("kwargs", {}))
        return WeightsFile(content, {})
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"{str(path)!r} is damaged or no file of tensors ({type(error).__name__}); it was not run. Download it again, or, where you trust it, "
            "convert it: safetensors.torch.save_file(state_dict, 'weights.safetensors').",
        ) from error


def load_state(model: nn.Module, tensors: Mapping[str, Tensor], path: Path, expected: str) -> None:
    """Put every tensor into `model`; InputError `checkpoint_mismatch` where names or shapes differ. `expected` says what the file should hold."""
    try:
        model.load_state_dict(dict(tensors))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(ReasonCode.CHECKPOINT_MISMATCH, f"{str(path)!r} does not hold the weights of {expected}") from error


def check_levels(asked: int | None, offered: int, codec: str) -> int:
    """The number of levels: `asked`, or all; InputError where the model has fewer."""
    if asked is not None and asked > offered:
        raise InputError(
            ReasonCode.CHECKPOINT_MISMATCH,
            f"The codec {codec!r} with these weights has {offered} levels, `codec.num_levels` asks for {asked}. Ask for {offered} or fewer.",
        )
    return asked or offered


def fold_weight_norm(model: nn.Module) -> None:
    """Compute each normalised weight once instead of at every call."""
    for module in model.modules():
        if hasattr(module, "weight_g"):
            nn.utils.remove_weight_norm(module)


def download(url: str, path: Path, codec: str, checksum: str | None = None) -> Path:
    """`path`, fetched from `url` where it is not there yet; `checksum` is how the file's sha256 begins."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=checksum, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise EnvironmentProblem(
            f"The codec {codec!r} needs the weights {url.rsplit('/', 1)[1]!r}, which could not be downloaded from {url} ({error}). "
            f"Copy that file to {str(path)!r}, or name it as `codec.weights`."
        ) from error
    return path


def from_hub(repository: str, filename: str, codec: str) -> Path:
    """A file of the Hugging Face hub in its cache, fetched where it is not there yet."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, filename, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(hf_hub_download(repository, filename))
    except OSError as error:
        raise EnvironmentProblem(
            f"The codec {codec!r} needs the weights {filename!r} of {repository}, which are not in the Hugging Face cache and could not be downloaded "
            f"({type(error).__name__}). Run `hf download {repository}` on a machine with a network, or name the files as `codec.weights`."
        ) from error
