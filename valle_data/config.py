"""Configuration: frozen pydantic models beside the classes they configure.

YAML says what a run is, `a.b=c` on the command line changes it. Reading YAML files, `base:` and overrides: `valle_data/yaml_config.py`.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny

from valle_data.errors import EnvironmentProblem
from valle_data.registry import Table


class Config(BaseModel):
    """Base of every configuration: immutable, unknown keys refused, numbers finite, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, strict=False)


class EntryConfig(Config):
    """Configuration of a table entry; `name` says which. Each entry's class has its own subclass as the attribute `Config`."""

    name: str


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


def from_table(table: Table) -> Any:
    """Field type for a choice from `table`: `codec: from_table(CODECS) = "mini"` accepts `mini` or `{name: encodec, bandwidth_kbps: 6}`."""
    choice = TableChoice(table)
    return Annotated[SerializeAsAny[EntryConfig], BeforeValidator(choice.choose), choice]
