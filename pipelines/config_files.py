"""`valle config`: the configurations that ship with valle, and any file like them.

A configuration's kind is the name of its folder: `configs/train/digits.yaml` configures `valle train`.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipelines.console import Console
from valle_data.config import Config
from valle_data.errors import ExitCode, UsageError
from valle_data.registry import Table, nearest
from valle_data.yaml_config import base_chain, dump_config, load_config

KINDS = Table("kind of configuration", {"prepare": "pipelines.prepare:PrepareConfig", "train": "pipelines.train:TrainConfig"})
C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class ConfigFile:
    """A configuration that ships with valle. `name` is `kind/stem`, `title` the first line of its header."""

    name: str
    path: Path
    title: str


def folder() -> Path:
    """Where the configurations lie: in the installed package, or beside it in a checkout."""
    packages = Path(__file__).resolve().parent
    return next((place for place in (packages / "configs", packages.parent / "configs") if place.is_dir()), packages / "configs")


def shipped() -> list[ConfigFile]:
    """All configurations that ship with valle, by name."""
    return [
        ConfigFile(path.relative_to(folder()).with_suffix("").as_posix(), path, _title(path))
        for path in sorted(folder().rglob("*.yaml"), key=lambda path: path.as_posix())
    ]


def _title(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def find(source: Path) -> Path:
    """An existing file as it is, else the shipped configuration of that name: `train/digits` or `configs/train/digits.yaml`."""
    if source.exists():
        return source
    name = source.with_suffix("").as_posix().removeprefix("configs/")
    known = {file.name: file.path for file in shipped()}
    if name in known:
        return known[name]
    beside = [str(path) for path in source.parent.glob("*.yaml")] if source.parent.is_dir() else []
    raise UsageError(f"There is no configuration {str(source)!r}.{nearest(str(source), [*beside, *known])} `valle config ls` lists what ships with valle.")


def load(model: type[C], source: Path, overrides: Sequence[str] | None) -> C:
    """`load_config` for a file or the name of a shipped one."""
    return load_config(model, find(source), overrides or ())


def list_files(console: Console) -> ExitCode:
    """Print name and title of every shipped configuration."""
    console.table(f"Configurations in {folder()}", ("name", "what it is"), [(file.name, file.title) for file in shipped()])
    return ExitCode.DONE


def copy(name: str, destination: Path, console: Console) -> ExitCode:
    """Copy a shipped configuration and its bases to `destination/kind/`, or one without bases to the file `destination`; overwrites nothing."""
    chain = base_chain(find(Path(name)))
    root = folder()
    copies = {path: destination / os.path.relpath(path, root if path.is_relative_to(root) else chain[0].parent) for path in chain}
    if destination.suffix in (".yaml", ".yml"):
        if len(chain) > 1:
            raise UsageError(f"{name} builds on {chain[1].name}, so it needs a folder: `valle config cp {name} my-configs`.")
        copies = {chain[0]: destination}
    outside = [path for path in copies if ".." in Path(os.path.relpath(path, root if path.is_relative_to(root) else chain[0].parent)).parts]
    if outside:
        raise UsageError(f"{chain[0]} builds on {outside[0]}, which lies outside its folder. Copy the two by hand.")
    existing = [str(target) for target in copies.values() if target.exists()]
    if existing:
        raise UsageError(f"{existing[0]} exists already. Remove it or name another folder.")
    for source, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        console.info(f"Wrote {target}")
    return ExitCode.DONE


def show(source: Path, overrides: Sequence[str], kind: str | None, console: Console) -> ExitCode:
    """Print the resolved configuration as YAML."""
    path = find(source)
    console.output(dump_config(load_config(model_for(path, kind), path, overrides)))
    return ExitCode.DONE


def validate(source: Path, overrides: Sequence[str], kind: str | None, console: Console) -> ExitCode:
    """Say that a configuration is valid; raises ConfigError with every mistake when it is not."""
    path = find(source)
    model = model_for(path, kind)
    load_config(model, path, overrides)
    console.result({"path": str(path), "model": model.__name__, "valid": True}, f"{path} is a valid {model.__name__}.")
    return ExitCode.DONE


def schema(kind: str, console: Console) -> ExitCode:
    """Print the JSON schema of a kind."""
    console.output(json.dumps(KINDS[kind].model_json_schema(), indent=2, ensure_ascii=False))
    return ExitCode.DONE


def model_for(path: Path, kind: str | None) -> type[Config]:
    """The model of `kind`, of the folder a file lies in, or the one that knows more of its keys than any other. Raises UsageError when none is known."""
    if kind is not None:
        return KINDS[kind]
    folder_name = path.resolve().parent.name
    if folder_name in KINDS:
        return KINDS[folder_name]
    keys = set(re.findall(r"^(\w+):", "\n".join(part.read_text(encoding="utf-8", errors="replace") for part in base_chain(path)), re.MULTILINE))
    num_known = {name: len(keys & KINDS[name].model_fields.keys()) for name in KINDS}
    best = max(num_known.values())
    fitting = [name for name, count in num_known.items() if count == best]
    if best and len(fitting) == 1:
        return KINDS[fitting[0]]
    raise UsageError(
        f"{path} lies in the folder {folder_name!r}, which says nothing about its kind, and nor do its keys. Add --kind with one of: {', '.join(KINDS)}."
    )
