"""Mandarin: words by jieba, pinyin by pypinyin, then IPA with tone letters.

Lee and Zee, "Standard Chinese (Beijing)", Handbook of the IPA (2003); tones in Chao's letters behind the syllable, none on a neutral one.
"""

import re
import warnings
from functools import cache
from importlib.metadata import version
from typing import Any

from pypinyin import Style, lazy_pinyin
from pypinyin.style import convert

from valle_data.config import EntryConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.text.ipa import IPA
from valle_data.text.languages import require_language
from valle_data.text.latin import latin_runs, latin_version, read_latin
from valle_data.text.phonemizers.base import WORD_BOUNDARY, shortened
from valle_data.text.phrases import PhrasePhonemizer, Reader

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # jieba asks for it and does without it
    import jieba

TABLE_VERSION = 1
INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x", "j": "tɕ", "q": "tɕʰ", "x": "ɕ",
    "zh": "tʂ", "ch": "tʂʰ", "sh": "ʂ", "r": "ʐ", "z": "ts", "c": "tsʰ", "s": "s", "": "",
}  # fmt: skip
SYLLABIC = "\u0329"
FINALS = {
    "i": "i", "u": "u", "ü": "y", "a": "a", "ia": "ja", "ua": "wa", "o": "o", "io": "jo", "uo": "wo", "e": "ɤ", "ie": "jɛ", "üe": "ɥɛ", "ai": "ai",
    "uai": "wai", "ei": "ei", "uei": "wei", "ao": "au", "iao": "jau", "ou": "ou", "iou": "jou", "an": "an", "ian": "jɛn", "uan": "wan", "üan": "ɥɛn",
    "en": "ən", "in": "in", "uen": "wən", "ün": "yn", "ang": "aŋ", "iang": "jaŋ", "uang": "waŋ", "eng": "əŋ", "ing": "iŋ", "ueng": "wəŋ", "ong": "ʊŋ",
    "iong": "jʊŋ", "er": "ɚ", "ê": "ɛ",
}  # fmt: skip
BARE_NASALS = {"m": "m" + SYLLABIC, "n": "n" + SYLLABIC, "ng": "ŋ" + SYLLABIC, "hm": "hm" + SYLLABIC, "hng": "hŋ" + SYLLABIC}
APICAL = {**dict.fromkeys(["z", "c", "s"], "ɹ" + SYLLABIC), **dict.fromkeys(["zh", "ch", "sh", "r"], "ɻ" + SYLLABIC)}
TONES = {"1": "˥", "2": "˧˥", "3": "˨˩˦", "4": "˥˩", "5": ""}
SYLLABLE = re.compile(r"([a-zê]+)([1-5])")
DIPPING, FALLING, RISING = "3", "4", "2"


class MandarinPhonemizer(PhrasePhonemizer):
    """Hanzi by dictionary, Latin words by espeak's English voice. Words are jieba's, so that a polyphone (行, 长, 重) is read by its word."""

    class Config(EntryConfig):
        """Nothing to choose."""

        name: str = "mandarin"

    symbols: tuple[str, ...] = IPA

    def __init__(self, config: Config) -> None:
        self.config = config

    def __reduce__(self) -> tuple[type["MandarinPhonemizer"], tuple[Config]]:
        return type(self), (self.config,)

    @property
    def version(self) -> str:
        return f"mandarin table {TABLE_VERSION}, pypinyin {version('pypinyin')}, jieba {version('jieba')}, {latin_version()}"

    def reader(self, language: str) -> Reader:
        require_language(language, ("zh", "cmn"), "mandarin")
        return _read


def _read(phrase: str) -> str:
    return WORD_BOUNDARY.join(read_latin(run) if is_latin else _read_hanzi(run) for run, is_latin in latin_runs(phrase))


def _read_hanzi(run: str) -> str:
    words = [word for word in _segmenter().lcut(run) if any(letter.isalnum() for letter in word)]
    pinyin = [lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, tone_sandhi=True, v_to_u=True) for word in words]
    _join_tones(words, pinyin)
    return WORD_BOUNDARY.join("".join(_ipa(syllable, word) for syllable in syllables) for word, syllables in zip(words, pinyin, strict=True))


def _join_tones(words: list[str], pinyin: list[list[str]]) -> None:
    """Sandhi that pypinyin does not know, in place: 不 rises before a falling tone, and a word of one dipping syllable before another dipping one."""
    for position, (word, syllables) in enumerate(zip(words, pinyin, strict=True)):
        after = pinyin[position + 1][0] if position + 1 < len(pinyin) else ""
        if len(syllables) == 1 and syllables[0].endswith(DIPPING) and after.endswith(DIPPING):
            syllables[0] = syllables[0][:-1] + RISING
        for index, letter in enumerate(word[: len(syllables)]):
            later = syllables[index + 1] if index + 1 < len(syllables) else after
            if letter == "不" and later.endswith(FALLING):
                syllables[index] = syllables[index][:-1] + RISING


@cache
def _ipa(syllable: str, word: str) -> str:
    found = SYLLABLE.fullmatch(syllable.replace("ü", "v"))
    if found is None:
        raise InputError(ReasonCode.TEXT_UNSPEAKABLE, f"{shortened(word)!r} cannot be read as Mandarin. Write it in hanzi that a dictionary has.")
    plain, tone = found.groups()
    if plain in BARE_NASALS:
        return BARE_NASALS[plain] + TONES[tone]
    initial = convert(plain, Style.INITIALS, strict=True)
    final = convert(plain, Style.FINALS, strict=True).replace("v", "ü")
    vowel = APICAL[initial] if final == "i" and initial in APICAL else FINALS[final]
    return INITIALS[initial] + vowel + TONES[tone]


@cache
def _segmenter() -> Any:
    """jieba's own dictionary, parsed here: its cache file in the common temporary folder is neither read nor written."""
    segmenter = jieba.Tokenizer()
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter
