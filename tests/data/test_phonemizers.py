"""Every phonemizer of the table, then espeak's and the characters' own ways."""

import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.speech_texts import DIGITS, SENTENCES, WORDS
from valle_data.errors import InputError, ReasonCode
from valle_data.text.ipa import NON_PULMONIC, PULMONIC, VOWELS
from valle_data.text.languages import ALIASES, find_voice
from valle_data.text.normalize import normalize
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.base import Phonemizer
from valle_data.text.scripts import SCRIPTS, foreign_letters
from valle_data.text.vocabulary import Vocabulary

NATIVE = {
    "de": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, weil heute schönes Wetter ist.",
    "fr": "Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis. Un bon vin blanc, s'il vous plaît !",
    "es": "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío; añoraba a su querido cachorro.",
    "it": "Ma la volpe, col suo balzo, ha raggiunto il quieto Fido. Gli gnomi scelgono l'acqua.",
    "pt-br": "Um pequeno jabuti xereta viu dez cegonhas felizes. Não há pão de manhã.",
    "ru": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "pl": "Zażółć gęślą jaźń, a chrząszcz brzmi w trzcinie.",
    "zh": "你好，今天天气很好。我们去吃饭吧！",
    "ja": "いろはにほへと、ちりぬるを。",
    "hi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा।",
    "ar": "نص حكيم له سر قاطع وذو شأن عظيم",
    "ko": "키스의 고유조건은 입술끼리 만나야 한다.",
    "vi": "Con sói nâu nhảy qua con chó lười biếng.",
    "sv": "Flygande bäckasiner söka hwila på mjuka tuvor.",
    "el": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
}


@pytest.fixture(params=list(PHONEMIZERS))
def phonemizer(request: pytest.FixtureRequest) -> Phonemizer:
    chosen = PHONEMIZERS[request.param]
    return chosen(chosen.Config())


@pytest.fixture
def espeak() -> Phonemizer:
    return PHONEMIZERS["espeak"](PHONEMIZERS["espeak"].Config())


def spoken(phonemizer: Phonemizer, text: str, language: str = "en-us") -> str:
    (phones,) = phonemizer.phonemize([text], language)
    assert not isinstance(phones, InputError), phones
    return "".join(phones)


def refused(phonemizer: Phonemizer, text: str, language: str = "en-us") -> InputError:
    (error,) = phonemizer.phonemize([text], language)
    assert isinstance(error, InputError)
    return error


# --- what every phonemizer owes


def test_inventory_is_one_code_point_each_and_none_twice(phonemizer: Phonemizer) -> None:
    assert all(len(symbol) == 1 for symbol in phonemizer.symbols)
    assert len(Vocabulary(phonemizer.symbols)) == len(set(phonemizer.symbols))
    assert {" ", ".", ",", "?", "!", ";", ":"} <= set(phonemizer.symbols)


def test_phones_of_plain_english_are_in_the_inventory(phonemizer: Phonemizer) -> None:
    texts = [*SENTENCES, *DIGITS, " ".join(WORDS)]
    vocabulary = Vocabulary(phonemizer.symbols)
    for phones in phonemizer.phonemize(texts, "en-us"):
        assert not isinstance(phones, InputError) and vocabulary.encode(phones)
        assert phones[0] != " " and phones[-1] != " " and "  " not in "".join(phones)


def test_no_texts_no_phones(phonemizer: Phonemizer) -> None:
    assert phonemizer.phonemize([], "en-us") == []


def test_a_text_alone_gives_what_it_gives_in_any_company(phonemizer: Phonemizer) -> None:
    texts = [*SENTENCES[:20], 'What (is this, he said; and: "why?', "one", "..."]
    together = phonemizer.phonemize(texts, "en-us")
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    for index in order:
        alone = phonemizer.phonemize([texts[index]], "en-us")[0]
        assert str(alone) == str(together[index])


def test_pickled_phonemizer_speaks_the_same(phonemizer: Phonemizer) -> None:
    copy = pickle.loads(pickle.dumps(phonemizer))  # noqa: S301 - our own bytes
    assert copy.phonemize(SENTENCES[:3], "en-us") == phonemizer.phonemize(SENTENCES[:3], "en-us")
    assert copy.version == phonemizer.version and copy.symbols == phonemizer.symbols


def test_one_bad_text_leaves_the_others(phonemizer: Phonemizer) -> None:
    good, bad, other = phonemizer.phonemize(["hello", "?!", "world"], "en-us")
    assert isinstance(bad, InputError) and bad.reason is ReasonCode.TEXT_UNSPEAKABLE
    assert not isinstance(good, InputError) and not isinstance(other, InputError)


@given(st.text(max_size=80), st.sampled_from(["en-us", "de", "fr"]))
@settings(max_examples=60, deadline=None)
def test_normalised_text_gives_known_phones_or_a_reason(text: str, language: str) -> None:
    try:
        plain = normalize(text, language, 1000)
    except InputError:
        return
    for name in PHONEMIZERS:
        made = PHONEMIZERS[name](PHONEMIZERS[name].Config())
        (phones,) = made.phonemize([plain], language)
        assert isinstance(phones, InputError) or set(phones) <= set(made.symbols)


# --- espeak


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en-us", "Hello, world!", "həlˈoʊ, wˈɜːld!"),
        ("en-gb", "water", "wˈɔːtə"),
        ("de", "Ich bin Jürgen.", "ɪç bɪn jˈʏɾɡən."),
        ("fr", "j'aime le football", "ʒˈɛm lə fˈʊtbɔːl"),  # without the flags (en) ... (fr)
        ("fr", "un bon vin", "œ̃ bˈɔ̃ vˈɛ̃"),
    ],
)
def test_known_readings(espeak: Phonemizer, language: str, text: str, expected: str) -> None:
    assert spoken(espeak, text, language) == expected


@pytest.mark.parametrize("language", ["en-us", "en-gb", "de", "fr", "es", "it"])
def test_word_lists_stay_in_the_inventory(espeak: Phonemizer, language: str) -> None:
    failures = [phones for phones in espeak.phonemize([*WORDS, *SENTENCES], language) if isinstance(phones, InputError)]
    assert not failures


@pytest.mark.parametrize("language", NATIVE)
def test_native_sentences_stay_in_the_inventory(espeak: Phonemizer, language: str) -> None:
    assert len(spoken(espeak, normalize(NATIVE[language], language, 500), language)) > 10


def test_every_vowel_and_consonant_is_its_own_phone() -> None:
    letters = [*VOWELS, *PULMONIC, *NON_PULMONIC]
    assert len(set(letters)) == len(letters)
    assert {"i", "ɪ", "ɛ", "æ", "ɑ", "ɒ", "ɔ", "ʊ", "u", "ʌ", "ɜ", "ə", "ɐ", "a", "ɡ", "ɹ", "r", "ʁ"} <= set(letters)


def test_minimal_pairs_differ(espeak: Phonemizer) -> None:
    words = ["bit", "beat", "bet", "bat", "but", "boot", "bought", "bait", "boat", "bite", "bout", "foot", "thin", "this", "sin", "shin"]
    assert len(set(espeak.phonemize(words, "en-us"))) == len(words)
    stressed = espeak.phonemize(["the record", "to record"], "en-us")
    assert all("ˈ" in phones for phones in stressed if not isinstance(phones, InputError)) and stressed[0] != stressed[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one, two", "wˌʌn, tˈuː"),
        ("one ,two", "wˌʌn, tˈuː"),
        ("one... two", "wˌʌn. tˈuː"),
        ("one — two", "wˌʌn, tˈuː"),
        ("one?! two", "wˌʌn?! tˈuː"),
        ('(one) "two"', "wˈʌn tˈuː"),
        ("...one", "wˌʌn"),
        ("one: two; three.", "wˌʌn: tˈuː; θɹˈiː."),
    ],
)
def test_punctuation(espeak: Phonemizer, text: str, expected: str) -> None:
    assert spoken(espeak, text) == expected


def test_marks_inside_numbers_and_names_do_not_split(espeak: Phonemizer) -> None:
    assert "." not in spoken(espeak, "3.14") and "," not in spoken(espeak, "1,5", "de")
    assert spoken(espeak, "U.S.A. now").count(".") == 1


@pytest.mark.parametrize("text", ["[[h@l'oU]]", "x ]]", "nul \0 byte"])
def test_markup_never_reaches_espeak(espeak: Phonemizer, text: str) -> None:
    assert refused(espeak, text).reason is ReasonCode.TEXT_MARKUP


def test_wrong_scripts_are_refused_and_not_spelled(espeak: Phonemizer) -> None:
    assert "东 京" in str(refused(espeak, "I like 东京", "en-us"))
    assert refused(espeak, "Привет", "de").reason is ReasonCode.TEXT_UNSPEAKABLE
    assert "kana" in str(refused(espeak, "東京", "ja"))
    assert spoken(espeak, "Привет OK", "ru") and spoken(espeak, "π r", "en-us")


def test_every_espeak_voice_of_a_listed_language_reads_its_script() -> None:
    assert foreign_letters("abc é ß", "de") == [] and foreign_letters("я", "xx-unknown") == []
    assert all(foreign_letters("a", language) == [] for language in SCRIPTS)


@pytest.mark.parametrize(
    ("tag", "voice"),
    [
        ("en", "en-us"),
        ("EN_GB", "en-gb"),
        ("de-AT", "de"),
        ("fr-CA", "fr-fr"),
        ("zh-Hans-CN", "cmn"),
        ("pt-PT", "pt"),
        ("pt-BR", "pt-br"),
        ("es-MX", "es-419"),
        ("no", "nb"),
        ("en-AU", "en-gb"),
    ],
)
def test_language_tags(espeak: Phonemizer, tag: str, voice: str) -> None:
    espeak.check_language(tag)
    assert espeak.phonemize(["test"], tag) == espeak.phonemize(["test"], voice)


@pytest.mark.parametrize(
    ("tag", "words"), [("english", "Did you mean 'en-"), ("german", "Did you mean 'de'?"), ("dee", "Did you mean 'de'?"), ("", "Known: af, "), ("fo", "fo")]
)
def test_unknown_language(espeak: Phonemizer, tag: str, words: str) -> None:
    error = refused(espeak, "test", tag)
    assert error.reason is ReasonCode.UNKNOWN_LANGUAGE and words in str(error)
    with pytest.raises(InputError, match="unknown_language"):
        espeak.check_language(tag)


def test_aliases_lead_to_voices() -> None:
    voices = {voice: voice for voice in ALIASES.values()}
    assert all(find_voice(tag, voices) == voice for tag, voice in ALIASES.items())


def test_version_names_espeak(espeak: Phonemizer) -> None:
    assert espeak.version.startswith("espeak-ng 1.")


def test_threads_do_not_disturb_each_other(espeak: Phonemizer) -> None:
    """espeak keeps global state: four unguarded threads got 317 of 10,000 lines wrong."""
    expected = espeak.phonemize(SENTENCES, "en-us")
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: espeak.phonemize(SENTENCES, "en-us"), range(12)):
            assert got == expected


def test_a_process_is_silent_and_agrees_after_a_fork(espeak: Phonemizer) -> None:
    program = (
        "import os, sys\n"
        "from valle_data.text.phonemizers import PHONEMIZERS\n"
        "made = PHONEMIZERS['espeak'](PHONEMIZERS['espeak'].Config())\n"
        "say = lambda: ''.join(made.phonemize(['The boat drifted past the green buoy.'], 'en-us')[0])\n"
        "parent = say()\n"
        "made.phonemize(['le football', 'x'], 'fr')\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if say() == parent else 1)\n"
        "sys.stdout.write(f'{os.waitpid(child, 0)[1]} {parent}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0 " + spoken(espeak, "The boat drifted past the green buoy.") and done.stderr == ""


def test_long_words_are_refused_and_long_texts_are_not(espeak: Phonemizer) -> None:
    """Of a longer word espeak drops the end, and of some 400 characters with dots it dies."""
    assert spoken(espeak, "ba" * 30).count("b") == 30
    assert spoken(espeak, " ".join(["ba"] * 3000)).count("b") == 3000
    for text in ("ba" * 31, "x." * 2000, "one " + "'" * 3000 + "a", "กา" * 100):
        assert "A word has at most 60 characters" in str(refused(espeak, text, "th" if "ก" in text else "en-us"))


# --- characters


def test_characters_are_lower_case_and_decomposed() -> None:
    made = PHONEMIZERS["characters"](PHONEMIZERS["characters"].Config())
    assert made.phonemize(["Äpfel, ÉTÉ!", "Йод"], "any") == [tuple("a\u0308pfel, e\u0301te\u0301!"), tuple("и\u0306од")]
    made.check_language("whatever")
    error = refused(made, "საქართველო", "ka")
    assert error.reason is ReasonCode.UNKNOWN_PHONE and "`phonemizer.alphabet`" in str(error)


def test_characters_take_a_further_alphabet() -> None:
    config = PHONEMIZERS["characters"].Config(alphabet="საქრთველო ა")
    made = PHONEMIZERS["characters"](config)
    assert spoken(made, "საქართველო", "ka") == "საქართველო"
    assert made.symbols[: len(made.symbols) - 9] == PHONEMIZERS["characters"](PHONEMIZERS["characters"].Config()).symbols
