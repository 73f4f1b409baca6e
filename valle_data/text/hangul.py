"""Hangul as written -> syllables as spoken, by the Standard Pronunciation of Korean (표준 발음법, Ministry of Culture notice 2017-13).

Covered, by its article: 5 (vowels), 8-14 (codas, ㅎ, liaison), 17 (palatalisation), 18-19 (nasals), 20 (liquids), 23-25 (tense consonants), within a word.
What only a dictionary knows (26-29: 갈등, 할 것을, 꽃잎) is limited to the words of `EXCEPTIONS`.
"""

from dataclasses import dataclass
from itertools import zip_longest

FIRST, LAST = 0xAC00, 0xD7A3
ONSETS = tuple("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ")
VOWELS = tuple("ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ")
CODAS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")

CLUSTERS = {
    "ㄳ": "ㄱㅅ",
    "ㄵ": "ㄴㅈ",
    "ㄶ": "ㄴㅎ",
    "ㄺ": "ㄹㄱ",
    "ㄻ": "ㄹㅁ",
    "ㄼ": "ㄹㅂ",
    "ㄽ": "ㄹㅅ",
    "ㄾ": "ㄹㅌ",
    "ㄿ": "ㄹㅍ",
    "ㅀ": "ㄹㅎ",
    "ㅄ": "ㅂㅅ",
}
TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
ASPIRATED = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
NEUTRAL = {
    **dict.fromkeys("ㄱㄲㅋㄳㄺ", "ㄱ"), **dict.fromkeys("ㄷㅅㅆㅈㅊㅌㅎ", "ㄷ"), **dict.fromkeys("ㅂㅍㅄㄿ", "ㅂ"),
    **dict.fromkeys("ㄴㄵㄶ", "ㄴ"), **dict.fromkeys("ㄹㄼㄽㄾㅀ", "ㄹ"), **dict.fromkeys("ㅁㄻ", "ㅁ"), "ㅇ": "ㅇ", "": "",
}  # fmt: skip
"""Articles 8-11: the seven sounds that can end a syllable."""

EXCEPTIONS = {
    "십육": "심뉵", "백육": "뱅뉵", "꽃잎": "꼰닙", "색연필": "생년필", "솜이불": "솜니불", "한여름": "한녀름", "서울역": "서울력", "물약": "물략",
    "맛없": "마덦", "겉옷": "거돋", "헛웃음": "허두슴", "갈등": "갈뜽", "발전": "발쩐", "결정": "결쩡", "일시": "일씨", "열정": "열쩡", "활동": "활똥",
    "발달": "발딸", "실수": "실쑤", "물질": "물찔", "문법": "문뻡", "한자": "한짜", "조건": "조껀", "사건": "사껀", "넓죽": "넙쭉", "넓둥": "넙뚱",
    "맏형": "마텽", "의견란": "의견난", "생산량": "생산냥", "결단력": "결딴녁", "공권력": "공꿘녁", "동원령": "동원녕", "상견례": "상견녜", "횡단로": "횡단노",
    "이원론": "이원논", "음운론": "으문논", "입원료": "이붠뇨",
}  # fmt: skip
NOUNS_WITH_RG = frozenset("닭흙칡삵")  # article 11: a noun loses the ㄹ of ㄺ, a verb stem before ㄱ keeps it
NOUNS_WITH_RM = frozenset("삶앎")  # article 24 is about stems


@dataclass(frozen=True)
class Syllable:
    """Letters of one syllable; `onset` "" and `coda` "" where there is none."""

    onset: str
    vowel: str
    coda: str
    written: str = ""


def is_syllable(letter: str) -> bool:
    return FIRST <= ord(letter) <= LAST


def split(letter: str) -> Syllable:
    """The letters of a precomposed syllable (Unicode, section 3.12)."""
    index = ord(letter) - FIRST
    onset = ONSETS[index // 588]
    return Syllable("" if onset == "ㅇ" else onset, VOWELS[index % 588 // 28], CODAS[index % 28], letter)


def pronounce(word: str) -> list[Syllable]:
    """The syllables of a word of precomposed syllables, as they sound: each coda one of ㄱㄴㄷㄹㅁㅂㅇ or none."""
    for spelled, spoken in EXCEPTIONS.items():
        if spelled in word:
            word = word.replace(spelled, spoken)
    syllables = [split(letter) for letter in word if is_syllable(letter)]
    sounds: list[Syllable] = []
    onset = syllables[0].onset if syllables else ""
    for syllable, following in zip_longest(syllables, syllables[1:]):
        coda, next_onset = _meet(syllable, following) if following is not None else (NEUTRAL[syllable.coda], "")
        sounds.append(Syllable(onset, _vowel(onset, syllable.vowel), coda))
        onset = next_onset
    return sounds


def _vowel(onset: str, vowel: str) -> str:
    """Article 5: no glide after ㅈㅉㅊ, ㅢ is ㅣ after a consonant."""
    if onset and onset in "ㅈㅉㅊ":
        vowel = {"ㅑ": "ㅏ", "ㅕ": "ㅓ", "ㅛ": "ㅗ", "ㅠ": "ㅜ", "ㅖ": "ㅔ", "ㅒ": "ㅐ"}.get(vowel, vowel)
    return "ㅣ" if onset and vowel == "ㅢ" else vowel


def _meet(syllable: Syllable, following: Syllable) -> tuple[str, str]:
    """The coda of a syllable and the onset of the next one, as they sound together."""
    coda, onset = syllable.coda, following.onset
    if not coda:
        return "", onset
    if not onset:
        return _link(coda, following.vowel)
    if onset == "ㅎ":
        return _aspirate(coda, following.vowel)
    if coda in ("ㅎ", "ㄶ", "ㅀ"):
        return _after_h(coda, onset)
    return _collide(_reduced(syllable, onset), _tensed(syllable, onset))


def _link(coda: str, vowel: str) -> tuple[str, str]:
    """Articles 12.4, 13, 14 and 17: before a vowel the last consonant of the coda moves over; ㄷ and ㅌ before ㅣ become ㅈ and ㅊ."""
    if coda == "ㅇ":
        return "ㅇ", ""
    rest, moving = CLUSTERS.get(coda, coda) if coda in CLUSTERS else ("", coda)
    if moving == "ㅎ":
        return ("", rest) if rest else ("", "")
    if moving in "ㄷㅌ" and (vowel == "ㅣ" or (vowel == "ㅕ" and moving == "ㅌ")):
        return rest, {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}[moving]
    return rest, "ㅆ" if rest and moving == "ㅅ" else moving


def _aspirate(coda: str, vowel: str) -> tuple[str, str]:
    """Article 12.1 and 17: a stop and ㅎ become one aspirated consonant."""
    if coda in ("ㅎ", "ㄶ", "ㅀ"):
        return NEUTRAL[coda] if coda != "ㅎ" else "", "ㅎ"
    rest, last = CLUSTERS.get(coda, coda) if coda in CLUSTERS else ("", coda)
    if last in "ㅈㅊ":
        return rest, "ㅊ"
    if last in "ㄷㅌ" and vowel in "ㅣㅕ":
        return rest, "ㅊ"
    if coda in ("ㄳ", "ㅄ"):
        return "", ASPIRATED[NEUTRAL[coda]]
    stop = NEUTRAL[last]
    return (rest, ASPIRATED[stop]) if stop in ASPIRATED else (NEUTRAL[coda], "ㅎ")


def _after_h(coda: str, onset: str) -> tuple[str, str]:
    """Articles 12.1-12.3: ㅎ at the end of a stem."""
    rest = CLUSTERS[coda][0] if coda in CLUSTERS else ""
    if onset in ("ㄱ", "ㄷ", "ㅈ"):
        return rest, ASPIRATED[onset]
    if onset == "ㅅ":
        return rest, "ㅆ"
    if onset == "ㄴ":
        return ("ㄹ", "ㄹ") if rest == "ㄹ" else ("ㄴ", "ㄴ")
    return _collide(rest or "ㄷ", onset)


def _reduced(syllable: Syllable, onset: str) -> str:
    """Articles 10 and 11: which consonant of a cluster is left before another consonant."""
    if syllable.coda == "ㄺ" and onset == "ㄱ" and syllable.written not in NOUNS_WITH_RG:
        return "ㄹ"
    return "ㅂ" if syllable.written == "밟" else NEUTRAL[syllable.coda]


def _tensed(syllable: Syllable, onset: str) -> str:
    """Articles 23-25: a plain onset is tense after an obstruent, after stems in ㄵ and ㄻ, and after ㄼ and ㄾ."""
    coda = syllable.coda
    after_stem = coda in ("ㄵ", "ㄼ", "ㄾ") or (coda == "ㄻ" and syllable.written not in NOUNS_WITH_RM)
    if syllable.written == "덟":  # 여덟 is a noun
        after_stem = False
    if NEUTRAL[coda] in NASAL or after_stem or coda == "ㄺ":
        return TENSE.get(onset, onset)
    return onset


def _collide(coda: str, onset: str) -> tuple[str, str]:
    """Articles 18-20: a stop before a nasal is nasal, ㄹ after anything but ㄴ and ㄹ is ㄴ, and ㄴ beside ㄹ is ㄹ."""
    if onset == "ㄹ" and coda in ("ㄱ", "ㄷ", "ㅂ", "ㅁ", "ㅇ"):
        return NASAL.get(coda, coda), "ㄴ"
    if (coda, onset) in (("ㄴ", "ㄹ"), ("ㄹ", "ㄴ")):
        return "ㄹ", "ㄹ"
    return (NASAL.get(coda, coda), onset) if onset in "ㄴㅁ" else (coda, onset)
