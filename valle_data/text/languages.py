"""BCP 47 tags -> espeak voices, by the lookup of RFC 4647, section 3.4: subtags fall away from the right until a voice is found."""

from collections.abc import Iterator, Mapping, Sequence

from valle_data.errors import InputError, ReasonCode
from valle_data.registry import nearest
from valle_data.text.subtags import unregistered

UNDETERMINED = "und"
"""The BCP 47 tag of a text whose language is not known."""

ALIASES: Mapping[str, str] = {
    "en": "en-us", "en-au": "en-gb", "en-nz": "en-gb", "en-ie": "en-gb", "en-za": "en-gb", "en-in": "en-gb", "en-sg": "en-gb",
    "fr": "fr-fr", "zh": "cmn", "zh-hk": "yue", "zh-mo": "yue", "no": "nb", "nn": "nb", "iw": "he", "in": "id", "tl": "fil",
    "es-mx": "es-419", "es-ar": "es-419", "es-co": "es-419", "es-cl": "es-419", "es-pe": "es-419", "es-us": "es-419",
}  # fmt: skip
"""Macro languages, old codes and regions whose speech another voice than the language's first one stands closer to."""


def find_voice(language: str, voices: Mapping[str, str]) -> str:
    """The voice that speaks `language`. `voices` maps tags to names such as "English (America)", from which a word like "english" gets its suggestion.

    Raises InputError `unknown_language`, also for a tag with a subtag that nobody registered: `en-uss` is a slip for `en-us`, not some other English.
    """
    whole = language.strip().lower().replace("_", "-")
    for tag in lookup(whole):
        for candidate in (tag, ALIASES.get(tag, tag)):
            if candidate not in voices:
                continue
            strange = unregistered(whole)
            if tag != whole and strange is not None:
                message = f"Subtags of a language are registered scripts, regions or variants; {strange!r} of {language!r} is none."
                raise InputError(ReasonCode.UNKNOWN_LANGUAGE, message + nearest(whole, [*voices, *ALIASES]))
            return candidate
    message = f"Languages are BCP 47 tags that espeak has a voice for; {language!r} is not one.{_suggestion(language, voices)}"
    raise InputError(ReasonCode.UNKNOWN_LANGUAGE, message)


def require_language(language: str, spoken: Sequence[str], engine: str) -> None:
    """Raise InputError `unknown_language` unless the tag's language is one of `spoken` and its other subtags are registered."""
    tag = language.strip().lower().replace("_", "-")
    if tag.split("-")[0] in spoken and unregistered(tag) is None:
        return
    raise InputError(
        ReasonCode.UNKNOWN_LANGUAGE,
        f"The phonemizer {engine!r} speaks {', '.join(spoken)}, not {language!r}.{nearest(tag, spoken)} For a corpus of many languages choose `multilingual`.",
    )


def lookup(tag: str) -> Iterator[str]:
    """The tag, then what is left of it as subtags fall away from the right: zh-hans-cn, zh-hans, zh."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def _suggestion(language: str, voices: Mapping[str, str]) -> str:
    word = language.strip().lower()
    if word == UNDETERMINED:
        return " Name the language in the corpus, or turn on the stage `language`."
    by_name = [tag for tag, name in voices.items() if len(word) > 2 and name.lower().startswith(word)]
    if by_name:
        return f" Did you mean {', '.join(repr(tag) for tag in by_name[:4])}?"
    return nearest(word, [*voices, *ALIASES]) or " Known: " + ", ".join(sorted(voices)) + "."
