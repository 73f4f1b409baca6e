"""espeak's own ways."""

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.speech_texts import SENTENCES, WORDS
from tests.texts import build, refused, spoken
from valle_data.errors import InputError, ReasonCode
from valle_data.text.ipa import NON_PULMONIC, PULMONIC, VOWELS
from valle_data.text.languages import ALIASES, find_voice
from valle_data.text.normalize import normalize
from valle_data.text.phonemizers.base import Phonemizer
from valle_data.text.scripts import SCRIPTS, foreign_letters
from valle_data.text.subtags import unregistered

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


@pytest.fixture
def espeak() -> Phonemizer:
    return build("espeak")


@pytest.fixture(scope="module")
def multilingual() -> Phonemizer:
    return build("multilingual")


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


def test_wrong_scripts_are_refused_and_not_spelled(espeak: Phonemizer, multilingual: Phonemizer) -> None:
    assert "东 京" in str(refused(espeak, "I like 东京", "en-us"))
    for text, language in (("Привет", "de"), ("한국", "ja"), ("ありがとう", "zh"), ("漢字", "ko"), ("你好", "ru")):
        assert refused(multilingual, text, language).reason is ReasonCode.TEXT_WRONG_LANGUAGE
    assert spoken(espeak, "Привет OK", "ru") and spoken(espeak, "π r", "en-us")


@pytest.mark.parametrize("text", ["東京", "三〇", "人々", "きょうは晴れ"])
def test_kanji_never_reach_espeak(espeak: Phonemizer, text: str) -> None:
    error = refused(espeak, text, "ja-JP")
    assert error.reason is ReasonCode.TEXT_UNSPEAKABLE and "`phonemizer: japanese`" in str(error)


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
        ("en-us-x-foo", "en-us"),
        ("sr-Latn-RS", "sr"),
        ("de-1996", "de"),
        ("es-419", "es-419"),
    ],
)
def test_language_tags(espeak: Phonemizer, tag: str, voice: str) -> None:
    espeak.check_language(tag)
    assert espeak.phonemize(["test"], tag) == espeak.phonemize(["test"], voice)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("english", "Did you mean 'en-"),
        ("german", "Did you mean 'de'?"),
        ("dee", "Did you mean 'de'?"),
        ("", "Known: af, "),
        ("fo", "fo"),
        ("en-uss", "'uss' of 'en-uss' is none. Did you mean 'en-us'?"),
        ("de-austria-at", "'austria'"),
        ("pt-bra", "Did you mean 'pt-br'?"),
        ("und", "turn on the stage `language`"),
    ],
)
def test_unknown_language(espeak: Phonemizer, tag: str, words: str) -> None:
    error = refused(espeak, "test", tag)
    assert error.reason is ReasonCode.UNKNOWN_LANGUAGE and words in str(error)
    with pytest.raises(InputError, match="unknown_language"):
        espeak.check_language(tag)


def test_subtags() -> None:
    assert [unregistered(tag) for tag in ("de", "de-at", "zh-hans-cn", "es-419", "ca-valencia", "en-x-whatever", "de-u-co-phonebk")] == [None] * 7
    assert [unregistered(tag) for tag in ("en-uss", "sr-cyrlx", "en-us-us2", "fr-zz")] == ["uss", "cyrlx", "us2", "zz"]


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


def test_voices_do_not_disturb_each_other(espeak: Phonemizer) -> None:
    """One library speaks all languages: what it says must not depend on the voice before."""
    languages = [*NATIVE][:12]
    texts = {language: [normalize(NATIVE[language], language, 500)] for language in languages if language != "ja"}
    alone = {language: espeak.phonemize(texts[language], language) for language in texts}
    order = [*texts] * 4
    random.Random(0).shuffle(order)
    assert all(espeak.phonemize(texts[language], language) == alone[language] for language in order)


@pytest.mark.parametrize("lack", ["espeak_library.MAX_HELD = 2", "del os.memfd_create"])
def test_languages_that_share_an_instance_sound_the_same(espeak: Phonemizer, lack: str) -> None:
    program = (
        "import os, sys\n"
        "from valle_data.text import espeak_library\n"
        f"{lack}\n"
        "from valle_data.text.phonemizers import PHONEMIZERS\n"
        "made = PHONEMIZERS['espeak'](PHONEMIZERS['espeak'].Config())\n"
        "said = [''.join(made.phonemize([text], language)[0]) for _ in range(2) for text, language in eval(sys.argv[1])]\n"
        "assert said[: len(said) // 2] == said[len(said) // 2 :]\n"
        "sys.stdout.buffer.write('|'.join(said[: len(said) // 2]).encode())\n"
    )
    texts = [(normalize(NATIVE[language], language, 500), language) for language in ("de", "fr", "es", "it", "ru", "hi")]
    done = subprocess.run([sys.executable, "-c", program, repr(texts)], capture_output=True, check=True)
    assert done.stdout.decode().split("|") == [spoken(espeak, text, language) for text, language in texts]


@pytest.mark.slow
def test_memory_does_not_grow_with_texts_or_changes_of_language(espeak: Phonemizer) -> None:
    """Target T18: at most 5 MB over 100,000 lines. espeak itself leaks 1.3 kB whenever a voice is chosen."""
    languages = ["en-us", "de", "fr", "es", "it"]

    def read(count: int) -> None:
        for index in range(count):
            espeak.phonemize([SENTENCES[index % len(SENTENCES)]], languages[index % len(languages)])

    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    read(2000)
    before = resident_mb()
    read(100_000)
    assert resident_mb() - before <= 5


def test_a_killed_process_leaves_nothing_behind(tmp_path: Path) -> None:
    """phonemizer's own wrapper copies the library to the temporary folder, where a kill leaves it."""
    program = (
        "import sys\n"
        "from valle_data.text.phonemizers import PHONEMIZERS\n"
        "made = PHONEMIZERS['multilingual'](PHONEMIZERS['multilingual'].Config())\n"
        "for text, language in (('hi', 'en'), ('ja', 'de'), ('你好', 'zh'), ('東京', 'ja'), ('한국', 'ko')): made.phonemize([text], language)\n"
        "print('spoken', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "spoken\n"
        process.send_signal(signal.SIGKILL)
    assert [path for path in tmp_path.iterdir() if path.name != ".ses"] == []  # onnxruntime keeps one file of this name


def test_long_words_are_refused_and_long_texts_are_not(espeak: Phonemizer) -> None:
    """Of a longer word espeak drops the end, and of some 400 characters with dots it dies."""
    assert spoken(espeak, "ba" * 30).count("b") == 30
    assert spoken(espeak, " ".join(["ba"] * 3000)).count("b") == 3000
    for text in ("ba" * 31, "x." * 2000, "one " + "'" * 3000 + "a", "กา" * 100):
        assert "A word has at most 60 characters" in str(refused(espeak, text, "th" if "ก" in text else "en-us"))
