"""Korean by the rules of the Standard Pronunciation (`valle_data/text/hangul.py`), as IPA.

Lee, "Korean", Handbook of the IPA (1999): plain stops are voiced between voiced sounds, tense ones carry U+0348, codas are unreleased.
"""

from valle_data.config import EntryConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.text.hangul import Syllable, is_syllable, pronounce
from valle_data.text.ipa import IPA
from valle_data.text.languages import require_language
from valle_data.text.latin import latin_runs, latin_version, read_latin
from valle_data.text.phonemizers.base import WORD_BOUNDARY, shortened
from valle_data.text.phrases import PhrasePhonemizer, Reader

TABLE_VERSION = 1
TENSE, UNRELEASED = "\u0348", "\u031a"
ONSETS = {
    "ㄱ": "k", "ㄲ": "k" + TENSE, "ㄴ": "n", "ㄷ": "t", "ㄸ": "t" + TENSE, "ㄹ": "ɾ", "ㅁ": "m", "ㅂ": "p", "ㅃ": "p" + TENSE, "ㅅ": "s", "ㅆ": "s" + TENSE,
    "ㅈ": "tɕ", "ㅉ": "tɕ" + TENSE, "ㅊ": "tɕʰ", "ㅋ": "kʰ", "ㅌ": "tʰ", "ㅍ": "pʰ", "ㅎ": "h", "": "",
}  # fmt: skip
VOICED = {"ㄱ": "ɡ", "ㄷ": "d", "ㅂ": "b", "ㅈ": "dʑ"}
VOWELS = {
    "ㅏ": "a", "ㅐ": "ɛ", "ㅑ": "ja", "ㅒ": "jɛ", "ㅓ": "ʌ", "ㅔ": "e", "ㅕ": "jʌ", "ㅖ": "je", "ㅗ": "o", "ㅘ": "wa", "ㅙ": "wɛ", "ㅚ": "we", "ㅛ": "jo",
    "ㅜ": "u", "ㅝ": "wʌ", "ㅞ": "we", "ㅟ": "wi", "ㅠ": "ju", "ㅡ": "ɯ", "ㅢ": "ɰi", "ㅣ": "i",
}  # fmt: skip
CODAS = {"ㄱ": "k" + UNRELEASED, "ㄷ": "t" + UNRELEASED, "ㅂ": "p" + UNRELEASED, "ㄴ": "n", "ㄹ": "l", "ㅁ": "m", "ㅇ": "ŋ", "": ""}
PALATAL = frozenset("ㅣㅑㅕㅛㅠㅒㅖㅟ")


class KoreanPhonemizer(PhrasePhonemizer):
    """Words of Hangul by rule, Latin words by espeak's English voice."""

    class Config(EntryConfig):
        """Nothing to choose."""

        name: str = "korean"

    symbols: tuple[str, ...] = (*IPA, TENSE)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __reduce__(self) -> tuple[type["KoreanPhonemizer"], tuple[Config]]:
        return type(self), (self.config,)

    @property
    def version(self) -> str:
        return f"korean table {TABLE_VERSION}, {latin_version()}"

    def reader(self, language: str) -> Reader:
        require_language(language, ("ko",), "korean")
        return _read


def _read(phrase: str) -> str:
    return WORD_BOUNDARY.join(read_latin(run) if is_latin else _read_hangul(run) for run, is_latin in latin_runs(phrase))


def _read_hangul(run: str) -> str:
    return WORD_BOUNDARY.join(_word(word) for word in run.split())


def _word(word: str) -> str:
    """Phones of one word; InputError for letters that stand alone (ㅋㅋ), which have names and no sound. Other signs say nothing."""
    lone = [letter for letter in word if letter.isalnum() and not is_syllable(letter)]
    if lone:
        raise InputError(ReasonCode.TEXT_UNSPEAKABLE, f"{''.join(lone)!r} in {shortened(word)!r} cannot be read as Korean. Write out what is said.")
    phones, before = "", ""
    for syllable in pronounce(word):
        phones += _onset(syllable, before) + VOWELS[syllable.vowel] + CODAS[syllable.coda]
        before = syllable.coda or syllable.vowel
    return phones


def _onset(syllable: Syllable, before: str) -> str:
    """`before` is the coda or vowel in front, "" at the beginning of a word: ㄹ is a lateral after ㄹ, plain stops are voiced after voiced sounds."""
    onset = syllable.onset
    if onset == "ㄹ" and before == "ㄹ":
        return "l"
    if onset in VOICED and before and before not in "ㄱㄷㅂ":
        return VOICED[onset]
    phones = ONSETS[onset]
    return phones.replace("s", "ɕ") if syllable.vowel in PALATAL and onset and onset in "ㅅㅆ" else phones
