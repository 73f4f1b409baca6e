"""Configuration: frozen pydantic models beside the classes they configure.

YAML says what a run is, `a.b=c` on the command line changes it. Reading YAML files, `base:` and overrides: `valle_data/yaml_config.py`.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny

from valle_data.registry import Table


class Config(BaseModel):
    """Base of every configuration: immutable, unknown keys refused, numbers finite, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, strict=False)


class EntryConfig(Config):
    """Configuration of a table entry; `name` says which. Each entry's class has its own subclass as the attribute `Config`."""

    name: str


def from_table(table: Table) -> Any:
    """Field type for a choice from `table`: `codec: from_table(CODECS) = "mini"` accepts `mini` or `{name: encodec, bandwidth_kbps: 6}`."""

    def choose(value: Any) -> Any:
        if isinstance(value, EntryConfig):
            return value
        fields = {"name": value} if isinstance(value, str) else value
        if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
            raise ValueError(f"names a {table.kind}: one of {', '.join(table)}, or a mapping with `name` and its options")
        return table[fields["name"]].Config.model_validate(fields)

    return Annotated[SerializeAsAny[EntryConfig], BeforeValidator(choose)]
