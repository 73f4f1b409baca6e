"""Path patterns: `{group}/{speaker}/{utterance}.{ext}` says what the parts of a recording's path mean."""

import re

from valle_data.registry import nearest

FIELDS = ("group", "speaker", "utterance", "language", "ext")
NUM_EXAMPLES = 5
TOKEN = re.compile(r"\{([^{}]*)\}|(\*\*/)|(\*)|([^{}*]+)|([{}])")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern as an expression over the relative path.

    `{field}` stands for one or more characters of one path part, as few as fit (`{utterance}`: as many as fit, so that it may hold dots); a field
    that occurs twice has the same value both times. `*` stands for any characters of one part, `**/` for any folders. Raises ValueError.
    """
    seen: set[str] = set()
    parts: list[str] = []
    for token in TOKEN.finditer(pattern):
        field, folders, anything, literal, brace = token.groups()
        if brace:
            raise ValueError(f"names fields in braces; {pattern!r} has a brace without its partner at character {token.start() + 1}")
        if field is None:
            parts.append("(?:.*/)?" if folders else "[^/]*" if anything else re.escape(literal))
        elif field not in FIELDS:
            raise ValueError(f"knows no field {{{field}}}.{nearest(field, FIELDS)} Fields: {', '.join(FIELDS)}")
        elif field in seen:
            parts.append(f"(?P={field})")
        else:
            seen.add(field)
            parts.append(f"(?P<{field}>{'[^/]+' if field == 'utterance' else '[^/.]+' if field == 'ext' else '[^/]+?'})")
    return re.compile("".join(parts), re.DOTALL)


def mismatch_message(pattern: str, first: list[str], count: int | None = None) -> str:
    """One sentence for all paths that a pattern misses: the first ones, and how many where that is known."""
    how_many = "recordings" if count is None else f"all {count} of the recordings"
    return f"The pattern {pattern!r} (`corpus.pattern`) misses {how_many}, first: {', '.join(map(repr, first))}. Change the pattern, or move the files."
