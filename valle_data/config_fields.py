"""What a configuration model would have accepted at a place: keys to suggest, and which fields choose from a table."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from valle_data.config import EntryConfig, StageChoice, TableChoice
from valle_data.registry import nearest
from valle_data.yaml_source import KeyPath, dotted, step_into

UNITS = "s ms us min minutes seconds h hours hz khz mhz db kbps bps bytes kb mb gb frames samples steps".split()
_UNIT = re.compile(rf"^(?P<stem>.+)_(?P<unit>{'|'.join(UNITS)})$")
MAX_DEPTH = 8


@dataclass(frozen=True)
class Slot:
    """A place in a model tree: `annotation` is what it may hold, `table` the table it chooses from, `default_name` the entry chosen when none is named."""

    annotation: Any
    table: TableChoice | None = None
    default_name: str | None = None

    def models(self, value: Any) -> list[type[BaseModel]]:
        """The models whose keys a mapping in this slot may have, given what it holds."""
        if isinstance(self.table, StageChoice):
            return [self.table.table[self.table.stage].Config]
        if self.table is not None:
            name = value.get("name", self.default_name) if isinstance(value, dict) else self.default_name
            return [self.table.table[name].Config] if isinstance(name, str) and name in self.table.table else []
        return [kind for kind in _alternatives(self.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]

    def child(self, key: str | int, value: Any) -> "Slot | None":
        """The slot below `key`, or None where the model ends."""
        for model in self.models(value):
            if isinstance(key, str) and key in model.model_fields:
                return slot_of(model.model_fields[key])
        for kind in _alternatives(self.annotation):
            arguments = get_args(kind)
            if isinstance(key, int) and get_origin(kind) in (list, tuple, set, frozenset) and arguments:
                return _slot(arguments[0])
            if isinstance(key, str) and get_origin(kind) is dict and arguments:
                return _slot(arguments[1])
        return None


def root(model: type[BaseModel]) -> Slot:
    return Slot(model)


def slot_of(field: FieldInfo) -> Slot:
    choice = next((item for item in field.metadata if isinstance(item, TableChoice)), None)
    slot = Slot(field.annotation, choice) if choice else _slot(field.annotation)
    default = field.get_default(call_default_factory=True, validated_data={}) if slot.table else PydanticUndefined
    name = default if isinstance(default, str) else default.name if isinstance(default, EntryConfig) else None
    return Slot(slot.annotation, slot.table, name)


def _slot(annotation: Any) -> Slot:
    for part in _parts(annotation):
        if get_origin(part) is Annotated:
            choice = next((item for item in get_args(part)[1:] if isinstance(item, TableChoice)), None)
            if choice:
                return Slot(get_args(part)[0], choice)
    return Slot(annotation)


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union without `Annotated` and None."""
    for part in _parts(annotation):
        if get_origin(part) is Annotated:
            yield from _alternatives(get_args(part)[0])
        elif part is not NoneType:
            yield part


def descend(model: type[BaseModel], value: Any, path: KeyPath) -> tuple[Slot | None, Any]:
    """Slot and value at `path`, as far as both go."""
    slot: Slot | None = root(model)
    for key in path:
        slot = slot.child(key, value) if slot else None
        value = step_into(value, key)
    return slot, value


def fill_names(slot: Slot, value: Any) -> Any:
    """The same values with the default entry named where only options of it are given: `codec.bandwidth_kbps=6` without `codec`."""
    if isinstance(value, dict):
        if slot.table is not None and "name" not in value and slot.default_name:
            value = {"name": slot.default_name, **value}
        return {key: fill_names(child, item) if (child := slot.child(key, value)) else item for key, item in value.items()}
    if isinstance(value, list):
        return [fill_names(child, item) if (child := slot.child(index, value)) else item for index, item in enumerate(value)]
    return value


def suggestion(model: type[BaseModel], value: Any, path: KeyPath) -> str:
    """What to write instead of the unknown key at the end of `path`: the right unit, the nearest key beside it, the place it belongs, or all keys."""
    key = str(path[-1])
    slot, holder = descend(model, value, path[:-1])
    known = [name for kind in (slot.models(holder) if slot else []) for name in kind.model_fields]
    twin = _other_unit(key, known)
    if twin:
        return f" This is measured in {_unit(twin)!r}, not {_unit(key)!r}: convert the value and write `{twin}`."
    near = nearest(key, known)
    if near:
        return near
    elsewhere = [dotted(found) for found in _keys(root(model), value) if found[-1] == key]
    if elsewhere:
        return f" Did you mean `{elsewhere[0]}`?"
    return f" Known here: {', '.join(known)}." if known else " Nothing can be set here."


def _unit(key: str) -> str | None:
    found = _UNIT.match(key)
    return found["unit"] if found else None


def _other_unit(key: str, known: Iterable[str]) -> str | None:
    wanted = _UNIT.match(key)
    return next((name for name in known if wanted and (other := _UNIT.match(name)) and other["stem"] == wanted["stem"] and name != key), None)


def _keys(slot: Slot, value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if len(path) >= MAX_DEPTH:
        return
    for model in slot.models(value):
        for name, field in model.model_fields.items():
            yield (*path, name)
            yield from _keys(slot_of(field), value.get(name) if isinstance(value, dict) else None, (*path, name))
