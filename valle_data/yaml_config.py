"""Configuration files: `load_config` fills a model from YAML, `base:` files and dotted overrides; `dump_config` writes one that loads back equal.

All mistakes are reported at once, each with its file and line (or its override), its field, the value and the nearest valid key.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from valle_data.config import Config
from valle_data.config_fields import Slot, fill_names, root, suggestion
from valle_data.errors import UsageError
from valle_data.registry import nearest
from valle_data.yaml_source import (
    ABSENT,
    CORE_SCALARS,
    MISTAKES_SHOWN,
    STR,
    CoreLoader,
    KeyPath,
    Parsed,
    Place,
    Problem,
    dotted,
    override_place,
    parse,
    step_into,
)

SCHEMA_VERSION = 1
C = TypeVar("C", bound=Config)


class ConfigError(UsageError):
    """All mistakes of a configuration, in the order in which they stand in the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:MISTAKES_SHOWN]]
        if len(self.problems) > MISTAKES_SHOWN:
            lines.append(f"... and {len(self.problems) - MISTAKES_SHOWN} more")
        count = f"{len(self.problems)} mistakes in the configuration:\n  " if len(self.problems) > 1 else ""
        super().__init__(count + "\n  ".join(lines))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def load_config(model: type[C], source: Path | None, overrides: Sequence[str] = ()) -> C:
    """The configuration in file `source` (None: all defaults) changed by `a.b=c` overrides; raises ConfigError naming every mistake."""
    parsed = _read(source, root(model), ()) if source else Parsed(value={}, places={(): Place("command line")})
    if parsed.value is None:
        raise ConfigError(parsed.problems)
    for override in sorted(overrides, key=_choices_first):
        _apply(parsed, override, root(model))
    values = fill_names(root(model), parsed.value)
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        _collect(model, values, error, parsed)
        raise ConfigError(sorted(parsed.problems, key=_order)) from error
    if parsed.problems:
        raise ConfigError(sorted(parsed.problems, key=_order))
    return config


def _choices_first(override: str) -> tuple[int, bool]:
    """Choosing an entry drops the options of another one, so `codec=x` and `codec.name=x` come before `codec.option=y`, in whatever order they were typed."""
    parts = override.partition("=")[0].strip().split(".")
    return len(parts), parts[-1] != "name"


def base_chain(source: Path) -> list[Path]:
    """`source` and the files it builds on, nearest first; for commands that copy or list files. Raises ConfigError as `load_config` does."""
    chain = [source]
    while True:
        parsed = _open(chain[-1], tuple(chain[:-1]))
        if parsed.value is None and parsed.problems:
            raise ConfigError(parsed.problems)
        base = parsed.value.get("base") if isinstance(parsed.value, dict) else None
        if not isinstance(base, str):
            return chain
        chain.append(_beside(chain[-1], base))


def _beside(source: Path, base: str) -> Path:
    return Path(os.path.normpath(source.parent / base))


def _open(source: Path, above: tuple[Path, ...]) -> Parsed:
    """One file as it stands; `above` are the files that led here through `base:`."""
    place = Place(str(source))
    if source.resolve() in [path.resolve() for path in above]:
        circle = " -> ".join(str(path) for path in (*above, source))
        return Parsed(problems=[Problem(place, ("base",), f"leads in a circle: {circle}. Remove one `base:`.")])
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Parsed(problems=[Problem(place, (), f"is not UTF-8 (byte {error.start}). Save it as UTF-8.")])
    except FileNotFoundError:
        beside = [path.name for path in source.parent.glob("*.yaml")] if source.parent.is_dir() else []
        asked = f" It is the `base:` of {above[-1]}." if above else ""
        message = f"there is no such file.{nearest(source.name, beside)}{asked} `valle config ls` lists what ships with valle."
        return Parsed(problems=[Problem(place, (), message)])
    except OSError as error:
        return Parsed(problems=[Problem(place, (), f"cannot be read: {error.strerror}.")])
    return parse(text, str(source))


def _read(source: Path, slot: Slot, above: tuple[Path, ...]) -> Parsed:
    """A file merged over its `base:` chain."""
    parsed = _open(source, above)
    if parsed.value is None:
        parsed.value = None if parsed.problems else {}
        return parsed
    if not isinstance(parsed.value, dict):
        shown = _shown(parsed.value)
        return Parsed(places=parsed.places, problems=[*parsed.problems, Problem(parsed.places[()], (), f"holds {shown}, not `key: value` lines.")])
    _check_schema(parsed)
    base = parsed.value.pop("base", None)
    if base is None:
        return parsed
    if not isinstance(base, str):
        parsed.problems.append(Problem(parsed.places[("base",)], ("base",), f"names one file, relative to this one; it is {_shown(base)}."))
        return parsed
    below = _read(_beside(source, base), slot, (*above, source))
    if below.value is None:
        return Parsed(problems=[*below.problems, *parsed.problems])
    merged = Parsed(places={**below.places, (): parsed.places[()]}, problems=[*below.problems, *parsed.problems], unread=below.unread | parsed.unread)
    merged.value = _merge(slot, below.value, parsed.value)
    merged.places.update(parsed.places)
    return merged


def _check_schema(parsed: Parsed) -> None:
    """`schema: 1` may head a file, so that a later version of the program can tell how to read it."""
    version = parsed.value.pop("schema", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        message = f"is {_shown(version)}, but this version of valle reads schema {SCHEMA_VERSION}. "
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        message += "Update valle." if newer else f"Write `schema: {SCHEMA_VERSION}` or leave it out; `valle config schema` shows the keys."
        parsed.problems.append(Problem(parsed.places[("schema",)], ("schema",), message))


def _merge(slot: Slot | None, below: Any, above: Any) -> Any:
    """`above` over `below`, mappings key by key. Choosing another entry of a table drops the options of the first."""
    if not isinstance(above, dict):
        return above
    if slot is not None and slot.table is not None and isinstance(below, str):
        below = {"name": below}
    if not isinstance(below, dict):
        return above
    if slot is not None and slot.table is not None and "name" in above and above["name"] != below.get("name", slot.default_name):
        return above
    merged = dict(below)
    for key, value in above.items():
        child = slot.child(key, merged) if slot else None
        merged[key] = _merge(child, below[key], value) if key in below else value
    return merged


def _apply(parsed: Parsed, override: str, slot: Slot) -> None:
    """One `a.b=c`; list items are counted from 0: `tasks.0.weight=2`."""
    key, equals, text = override.partition("=")
    place = override_place(key)
    parts = key.strip().split(".")
    if not equals or not all(parts):
        parsed.problems.append(Problem(override_place(override), (), "an override reads `key=value` or `key.below=value`."))
        return
    value = parse(text, place.source, whole_file=False)
    parsed.problems.extend(value.problems)
    if value.problems:
        return
    path: KeyPath = ()
    cursor = parsed.value
    for part in parts:
        number = int(part) if isinstance(cursor, list) and part.isdecimal() else None
        step: str | int = part if number is None else number
        if isinstance(cursor, list) and (number is None or number >= len(cursor)):
            parsed.problems.append(Problem(place, (*path, part), f"the list `{dotted(path)}` has the items 0 to {len(cursor) - 1}, not {part!r}."))
            return
        cursor = step_into(cursor, step)
        path = (*path, step)
        parsed.places[path] = place
    parsed.places.update({(*path, *below): place for below in value.places})
    parsed.value = _placed(slot, parsed.value, path, value.value)


def _placed(slot: Slot | None, holder: Any, path: KeyPath, value: Any) -> Any:
    """`holder` with `value` merged in at `path`."""
    if not path:
        return _merge(slot, holder, value)
    step, rest = path[0], path[1:]
    child = slot.child(step, holder) if slot else None
    if isinstance(holder, list) and isinstance(step, int):
        return [_placed(child, item, rest, value) if index == step else item for index, item in enumerate(holder)]
    inner = holder.get(step) if isinstance(holder, dict) else None
    return _merge(slot, holder, {step: _placed(child, inner, rest, value)})


def _collect(model: type[Config], values: Any, error: ValidationError, parsed: Parsed) -> None:
    """Turn what pydantic found into problems with places; a field whose text was refused is not reported again."""
    for detail in error.errors(include_url=False):
        path = _real_path(values, detail)
        if any(path[: len(unread)] == unread for unread in parsed.unread):
            continue
        held = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in parsed.places)
        parsed.problems.append(Problem(parsed.places[held], path, _message(model, values, path, detail)))


def _real_path(values: Any, detail: ErrorDetails) -> KeyPath:
    """pydantic's location without the names of union members it passed through."""
    path: KeyPath = ()
    cursor = values
    for index, part in enumerate(detail["loc"]):
        inner = step_into(cursor, part)
        if inner is not ABSENT:
            cursor = inner
            path = (*path, part)
        elif index == len(detail["loc"]) - 1 and detail["type"] == "missing":
            path = (*path, part)
    return path


def _message(model: type[Config], values: Any, path: KeyPath, detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return f"is not a key here.{suggestion(model, values, path)}"
    if detail["type"] == "missing":
        return "is required and was not given."
    sentence = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    sentence = sentence[0].lower() + sentence[1:] if sentence.startswith("Input should") else sentence
    end = "" if sentence.endswith(("?", "!")) else "."
    return f"is {_shown(detail['input'])}; {sentence.replace('input should', 'it should')}{end}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _order(problem: Problem) -> tuple[bool, str, int]:
    return problem.place.line is None, problem.place.source, problem.place.line or 0


class _Dumper(yaml.SafeDumper):
    """Quotes text that either YAML 1.1 or 1.2 would read as something else."""

    yaml_implicit_resolvers = {first: list(resolvers) for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()}


for _tag, _pattern, _first in CORE_SCALARS:
    for _letter in _first:
        _Dumper.yaml_implicit_resolvers.setdefault(_letter, []).extend(CoreLoader.yaml_implicit_resolvers[_letter])


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Unicode's other line breaks fold inside plain and single-quoted scalars; between double quotes they are escaped.
    return dumper.represent_scalar(STR, text, style='"' if set(text) & set("\x85\u2028\u2029\ufeff") else None)


_Dumper.add_representer(str, _represent_text)


def dump_config(config: Config) -> str:
    """YAML with every field that `load_config` reads back to an equal configuration."""
    return yaml.dump(json.loads(config.model_dump_json()), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)
