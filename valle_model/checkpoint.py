"""Checkpoints: folders that exist whole or not at all.

`RUN/checkpoints/step-000001000/` holds `model.safetensors`, `model.json` (the card), `optimizer.safetensors`, `state.json` and, written last,
`manifest.json` with the size and sha256 of each. A folder without a manifest that fits is no checkpoint.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from valle_data import files
from valle_data.errors import InputError, ReasonCode
from valle_model.card import NAME as CARD
from valle_model.card import ModelCard

MODEL, OPTIMIZER, STATE, MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"
FOLDER = "checkpoints"
_STEP = re.compile(r"step-(\d{9})")


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on. `optimizer` are named tensors; `state` is JSON: step, sampler, random numbers, versions."""

    card: ModelCard
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """The newest complete checkpoint of a run, or none; `broken` are newer ones that were passed over, with the reason."""

    folder: Path | None
    broken: tuple[str, ...]


def save_checkpoint(run: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write `RUN/checkpoints/step-...`; a kill at any moment leaves either the whole folder or a temporary one that nobody reads.

    A complete checkpoint of this step is left as it is; a broken one is replaced.
    """
    parent = run / FOLDER
    target, temporary = parent / f"step-{step:09d}", parent / f".step-{step:09d}.tmp"
    if target.exists():
        if problem_of(target) is None:
            return target
        _remove(target)
    shutil.rmtree(temporary, ignore_errors=True)
    files.make_folder(temporary)
    contents = {
        MODEL: save({name: tensor.contiguous() for name, tensor in checkpoint.model.items()}),
        OPTIMIZER: save({name: tensor.contiguous() for name, tensor in checkpoint.optimizer.items()}),
        CARD: checkpoint.card.to_json().encode(),
        STATE: (json.dumps(checkpoint.state, indent=2) + "\n").encode(),
    }
    for name, data in contents.items():
        files.write_new(temporary / name, data)
    listing = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    files.write_new(temporary / MANIFEST, (json.dumps({"step": step, "files": listing}, indent=2) + "\n").encode())
    files.sync_folder(temporary)
    files.move(temporary, target)
    files.sync_folder(parent)
    return target


def keep_last(run: Path, num: int) -> None:
    """Remove all checkpoints older than the newest `num` complete ones."""
    folders = step_folders(run)
    complete = [folder for folder in folders if _is_whole(folder)]
    for folder in folders:
        if len(complete) >= num and folder.name < complete[num - 1].name:
            _remove(folder)


def _is_whole(folder: Path) -> bool:
    """Whether every file of a checkpoint is there with its size; unlike `problem_of` this reads none of them."""
    try:
        listing = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == entry["bytes"] for name, entry in listing.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _remove(folder: Path) -> None:
    # Without its manifest a half-removed folder is no checkpoint.
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder)


def step_folders(run: Path) -> list[Path]:
    """Everything that looks like a checkpoint, newest first."""
    folders = (run / FOLDER).iterdir() if (run / FOLDER).is_dir() else ()
    return sorted((f for f in folders if _STEP.fullmatch(f.name) and f.is_dir()), reverse=True)


def problem_of(folder: Path) -> str | None:
    """Why a folder is no complete checkpoint, or None: every file is read and its hash compared."""
    try:
        listing = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name in (MODEL, OPTIMIZER, CARD, STATE):
            if name not in listing:
                return f"{folder.name}: its manifest does not list {name}"
            data = (folder / name).read_bytes()
            if (digest := hashlib.sha256(data).hexdigest()) != listing[name]["sha256"]:
                expected = f"{listing[name]['bytes']} and {listing[name]['sha256'][:12]}"
                return f"{folder.name}: {name} has {len(data)} bytes and sha256 {digest[:12]}, expected {expected}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{folder.name}: {type(error).__name__}: {error}"
    return None


def find_newest(run: Path) -> Found:
    """The newest complete checkpoint below `run`.

    Raises InputError `broken_checkpoint` when there are checkpoints but none is complete: a run never starts again from nothing by itself.
    """
    broken: list[str] = []
    for folder in step_folders(run):
        problem = problem_of(folder)
        if problem is None:
            return Found(folder, tuple(broken))
        broken.append(problem)
    if broken:
        raise InputError(
            ReasonCode.BROKEN_CHECKPOINT,
            f"None of the {len(broken)} checkpoints in {run / FOLDER} is complete ({'; '.join(broken[:3])}). Remove them to start from nothing.",
        )
    return Found(None, ())


@dataclass(frozen=True)
class Chosen:
    """A complete checkpoint, and newer broken ones that were passed over, with the reason."""

    folder: Path
    broken: tuple[str, ...] = ()


def resolve(path: Path) -> Chosen:
    """The checkpoint that a user means by a run folder or a checkpoint folder."""
    if (path / MANIFEST).exists():
        problem = problem_of(path)
        if problem:
            raise InputError(ReasonCode.BROKEN_CHECKPOINT, f"{path} is damaged ({problem}). Choose another checkpoint of the run.")
        return Chosen(path)
    found = find_newest(path) if path.is_dir() else Found(None, ())
    if found.folder is None:
        raise InputError(
            ReasonCode.BROKEN_CHECKPOINT, f"{path} holds no checkpoint. Name a run folder of `valle train`, or one of its checkpoints/step-... folders."
        )
    return Chosen(found.folder, found.broken)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Fill `model` from a checkpoint folder; a mismatch lists the tensors and changes nothing."""
    try:
        tensors = load_file(folder / MODEL)
    except (OSError, SafetensorError) as error:
        raise InputError(ReasonCode.BROKEN_CHECKPOINT, f"{folder / MODEL} cannot be read ({error}). Use another checkpoint.") from error
    expected = model.state_dict()
    wrong = [f"{name} missing" for name in expected if name not in tensors] + [f"{name} unexpected" for name in tensors if name not in expected]
    wrong += [
        f"{name} {list(tensors[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if wrong:
        raise InputError(ReasonCode.CHECKPOINT_MISMATCH, f"{folder} does not fit this model: {_some(wrong)}. Use the configuration saved with the run.")
    model.load_state_dict(tensors)


def load_optimizer(folder: Path) -> dict[str, Tensor]:
    return load((folder / OPTIMIZER).read_bytes())


def load_state(folder: Path) -> dict[str, Any]:
    return json.loads((folder / STATE).read_text(encoding="utf-8"))


def _some(items: Sequence[str], num: int = 8) -> str:
    rest = f" and {len(items) - num} more" if len(items) > num else ""
    return ", ".join(items[:num]) + rest


def sweep(run: Path) -> None:
    """Remove what a killed save left behind."""
    if (run / FOLDER).is_dir():
        for entry in os.scandir(run / FOLDER):
            if entry.name.startswith(".") and entry.name.endswith(".tmp"):
                shutil.rmtree(entry.path)
