"""BCP 47 tags -> espeak voices, by the lookup of RFC 4647, section 3.4: subtags fall away from the right until a voice is found."""

from collections.abc import Mapping

from valle_data.errors import InputError, ReasonCode
from valle_data.registry import nearest

ALIASES: Mapping[str, str] = {
    "en": "en-us", "en-au": "en-gb", "en-nz": "en-gb", "en-ie": "en-gb", "en-za": "en-gb", "en-in": "en-gb", "en-sg": "en-gb",
    "fr": "fr-fr", "zh": "cmn", "zh-hk": "yue", "zh-mo": "yue", "no": "nb", "nn": "nb", "iw": "he", "in": "id", "tl": "fil",
    "es-mx": "es-419", "es-ar": "es-419", "es-co": "es-419", "es-cl": "es-419", "es-pe": "es-419", "es-us": "es-419",
}  # fmt: skip
"""Macro languages, old codes and regions whose speech another voice than the language's first one stands closer to."""


def find_voice(language: str, voices: Mapping[str, str]) -> str:
    """The voice that speaks `language`. `voices` maps tags to names such as "English (America)", from which a word like "english" gets its suggestion."""
    tag = language.strip().lower().replace("_", "-")
    while tag:
        for candidate in (tag, ALIASES.get(tag, tag)):
            if candidate in voices:
                return candidate
        tag = tag.rpartition("-")[0]
    message = f"Languages are BCP 47 tags that espeak has a voice for; {language!r} is not one.{_suggestion(language, voices)}"
    raise InputError(ReasonCode.UNKNOWN_LANGUAGE, message)


def _suggestion(language: str, voices: Mapping[str, str]) -> str:
    word = language.strip().lower()
    by_name = [tag for tag, name in voices.items() if len(word) > 2 and name.lower().startswith(word)]
    if by_name:
        return f" Did you mean {', '.join(repr(tag) for tag in by_name[:4])}?"
    return nearest(word, [*voices, *ALIASES]) or " Known: " + ", ".join(sorted(voices)) + "."
