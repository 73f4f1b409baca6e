"""Configuration: frozen pydantic models beside the classes they configure.

YAML says what a run is, `a.b=c` on the command line changes it. Reading YAML files, `base:` and overrides: `valle_data/yaml_config.py`.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, create_model
from pydantic.fields import FieldInfo

from valle_data.errors import EnvironmentProblem
from valle_data.records import Utterance
from valle_data.registry import Table


class Config(BaseModel):
    """Base of every configuration: immutable, unknown keys refused, numbers finite, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, strict=False)


class EntryConfig(Config):
    """Configuration of a table entry; `name` says which. Each entry's class has its own subclass as the attribute `Config`."""

    name: str


class StageConfig(Config):
    """Configuration of a stage. Options made with `speed` change how fast a result comes and never which."""

    def options(self) -> dict[str, Any]:
        """What decides the stage's results, as JSON values. Where a file lies is no part of what it holds: paths are left out, see `stamp`."""
        fields = type(self).model_fields
        left_out = {name for name, field in fields.items() if _is_speed(field) or is_path(field.annotation)}
        return self.model_dump(mode="json", exclude=left_out)

    def stamp(self) -> str:
        """What else decides them: versions of packages, hashes of weights. Empty where there is nothing of the kind."""
        return ""

    def digest_beside(self, utterance: Utterance) -> str:
        """A digest of what the stage reads beside the recording and the text of an utterance, such as a file with timestamps; empty where there is nothing."""
        return ""


def speed(default: Any, **constraints: Any) -> Any:
    """A pydantic field for an option that never changes a result, such as a batch size or a device."""
    return Field(default, json_schema_extra={"speed": True}, **constraints)


def _is_speed(field: FieldInfo) -> bool:
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("speed"))


def is_path(annotation: Any) -> bool:
    """Whether an option is declared as a path, `Path | None` included."""
    return annotation is Path or any(is_path(choice) for choice in get_args(annotation))


@dataclass(frozen=True, eq=False)
class TableChoice:
    """Stands in the annotation of a field that chooses from `table`, so that suggestions, overrides and the JSON schema see what can be chosen."""

    table: Table

    def choose(self, value: Any) -> Any:
        if isinstance(value, EntryConfig):
            return value
        fields = {"name": value} if isinstance(value, str) else value
        if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
            raise ValueError(f"names a {self.table.kind}: one of {', '.join(self.table)}, or a mapping with `name` and its options")
        return self.table[fields["name"]].Config.model_validate(fields)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """A name, or a mapping with the options of one entry; entries whose package is not installed are offered by name alone."""
        mappings = []
        for name in self.table:
            with suppress(EnvironmentProblem):
                mappings.append(handler(self.table[name].Config.__pydantic_core_schema__))
        return {"anyOf": [{"enum": list(self.table)}, *mappings]}


@dataclass(frozen=True, eq=False)
class StageChoice(TableChoice):
    """Stands in the annotation of the field that configures one stage: its options, `true` for the defaults, or `false` or nothing to leave it out."""

    stage: str

    def choose(self, value: Any) -> Any:
        if value is None or value is False:
            return None
        return value if isinstance(value, StageConfig) else self.table[self.stage].Config.model_validate({} if value is True else value)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, {"type": "null"}, handler(self.table[self.stage].Config.__pydantic_core_schema__)]}


def stage_options(table: Table, always: Collection[str]) -> type[Config]:
    """A configuration with a field for each stage of `table`; those in `always` are on unless they are left out by name, the others off."""
    fields: dict[str, Any] = {}
    for name in table:
        choice = StageChoice(table, name)
        fields[name] = (Annotated[SerializeAsAny[StageConfig] | None, BeforeValidator(choice.choose), choice], True if name in always else None)
    return create_model("StageOptions", __base__=Config, **fields)


def from_table(table: Table) -> Any:
    """Field type for a choice from `table`: `codec: from_table(CODECS) = "mini"` accepts `mini` or `{name: encodec, bandwidth_kbps: 6}`."""
    choice = TableChoice(table)
    return Annotated[SerializeAsAny[EntryConfig], BeforeValidator(choice.choose), choice]
