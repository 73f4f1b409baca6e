"""Tables of named entries: a codec, task, corpus or backend is one file and one line in its folder's table."""

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from valle_data.errors import EnvironmentProblem, UsageError


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


@cache
def _resolve(target: str) -> type:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


class Table(Mapping[str, type]):
    """Names to classes given as `"module:Class"`, imported on first use.

    `extras` names the optional dependency group of an entry; a missing package becomes an error with the install line.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], extras: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._entries = dict(entries)
        self._extras = dict(extras or {})

    def __getitem__(self, name: str) -> type:
        if name not in self._entries:
            raise UsageError(f"There is no {self.kind} {name!r}.{nearest(name, self._entries)} Known: {', '.join(self._entries)}.")
        try:
            return _resolve(self._entries[name])
        except ModuleNotFoundError as error:
            if name not in self._extras or (error.name or "").split(".")[0] in ("valle_data", "valle_model", "pipelines"):
                raise
            raise EnvironmentProblem(
                f"The {self.kind} {name!r} needs the package {error.name!r}, which is not installed. Install it with: pip install 'valle[{self._extras[name]}]'"
            ) from error

    def __contains__(self, name: object) -> bool:
        """Whether the table names it; nothing is imported."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def build(self, config: Any) -> Any:
        """The entry that `config.name` chooses, made from its configuration."""
        return self[config.name](config)
