"""YAML text to plain values, each with its place: the part of reading a configuration that knows YAML and nothing else.

Scalars follow the core schema of YAML 1.2: only `true` and `false` are booleans, so the language code `no` stays text, and `1e-4` is a number.
A configuration is data: Python tags, other tags, and anchors are refused before anything is built from them; a key occurs once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 40
MISTAKES_SHOWN = 60
ABSENT = object()

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """Where a value was written: a line of a file, or an override on the command line (`line` None)."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


def override_place(key: str) -> Place:
    """Where the override of `key` was written."""
    return Place(f"override `{key}`")


@dataclass(frozen=True)
class Problem:
    """One mistake: `path` is the field it belongs to, empty for the file itself."""

    place: Place
    path: KeyPath
    message: str

    def __str__(self) -> str:
        named = not self.path or self.place == override_place(dotted(self.path))
        return f"{self.place}: {self.message}" if named else f"{self.place}: {dotted(self.path)}: {self.message}"


@dataclass
class Parsed:
    """Values of one or several merged sources. `places` holds the place of every mapping key, list item and of the root `()`.

    `unread` are the paths whose text was refused: None stands there in `value`.
    """

    value: Any = None
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[KeyPath] = field(default_factory=set)


def dotted(path: Sequence[str | int]) -> str:
    """`a.b.0` for a path of keys and list positions."""
    return ".".join(str(part) for part in path)


def step_into(value: Any, key: str | int) -> Any:
    """The value below `key` of a mapping or list, ABSENT where there is none."""
    if isinstance(value, dict):
        return value.get(key, ABSENT)
    return value[key] if isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value) else ABSENT


class CoreLoader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2, no aliases and a bounded depth."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            problem = "aliases (`*name`) are not read; name a file to build on with `base:`"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.peek_event().start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested more than {MAX_DEPTH} levels deep", problem_mark=self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


NULL, BOOL, INT, FLOAT, STR = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str"))
MAP, SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
CORE_SCALARS = (
    (NULL, r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    (BOOL, r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (INT, r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (FLOAT, r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", list("-+.0123456789")),
)
for _tag, _pattern, _first in CORE_SCALARS:
    CoreLoader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def parse(text: str, source: str, whole_file: bool = True) -> Parsed:
    """Read one YAML document. Mistakes are collected in `problems`; a syntax error leaves `value` None. Never raises for any text."""
    parsed = Parsed(places={(): Place(source, 1 if whole_file else None)})
    if len(text) > MAX_CHARACTERS:
        parsed.problems.append(Problem(Place(source), (), f"holds {len(text):,} characters; a configuration has at most {MAX_CHARACTERS:,}."))
        return parsed
    try:
        node = CoreLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark and whole_file else None
        parsed.problems.append(Problem(Place(source, line), (), f"is not YAML: {' '.join(part for part in (error.context, error.problem) if part)}."))
        return parsed
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if whole_file else None
        parsed.problems.append(Problem(Place(source, line), (), f"is not YAML: character U+{ord(text[error.position]):04X} cannot stand in a text file."))
        return parsed
    if node is not None:
        parsed.value = _Reader(source, whole_file, parsed).read(node, ())
    return parsed


@dataclass
class _Reader:
    """Nodes to values, noting places and problems in `parsed`."""

    source: str
    whole_file: bool
    parsed: Parsed

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        self.parsed.places.setdefault(path, self.place(node))
        if isinstance(node, yaml.MappingNode) and node.tag == MAP:
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == SEQ:
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in SCALARS:
            return SCALARS[node.tag](node.value)
        self.parsed.unread.add(path)
        self.parsed.problems.append(Problem(self.place(node), path, _tag_refusal(node.tag)))
        return None

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.parsed.problems.append(Problem(self.place(key_node), path, "a key is a word, not a list or mapping."))
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in result:
                first = self.parsed.places[here]
                self.parsed.problems.append(Problem(self.place(key_node), here, f"is given twice; the first is at {first}. Keep one."))
                continue
            self.parsed.places[here] = self.place(key_node)
            result[key] = self.read(value_node, here)
        return result

    def place(self, node: yaml.Node) -> Place:
        return Place(self.source, node.start_mark.line + 1 if self.whole_file else None)


def _tag_refusal(tag: str) -> str:
    if "python" in tag:
        remedy = "Write a plain value; classes are chosen by name, as in `codec: encodec`."
        return f"the tag {tag!r} would build a Python object; a configuration is data only. {remedy}"
    return f"the tag {tag!r} is not read. Write a plain value; put text that looks like a number between quotes."


def _integer(text: str) -> int | float:
    digits = text.lstrip("+-")
    if digits.startswith(("0o", "0x")):
        return int(text, 0)
    # Python refuses to convert thousands of digits; as a float they are infinite, which every number field refuses with its name.
    return int(text) if len(digits) <= 300 else float(text)


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


SCALARS = {
    NULL: lambda text: None,
    BOOL: lambda text: text.lower() == "true",
    INT: _integer,
    FLOAT: _real,
    STR: str,
}
