"""Japanese, Mandarin and Korean: readings, accent, tones and the rules of sound."""

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.texts import build, refused, sentences, spoken
from valle_data.errors import InputError, ReasonCode
from valle_data.text.hangul import CODAS, FIRST, ONSETS, pronounce
from valle_data.text.hangul import VOWELS as HANGUL_VOWELS

# --- Japanese


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("箸と橋が", "ha↓ɕi̥to ha↑ɕi↓ɡa"),  # the accent tells chopsticks from a bridge
        ("東京", "to↑okʲoo"),
        ("三本、六本", "sa↓ɴboɴ, ɾo↓ppoɴ"),
        ("ちょっと。", "tɕo↓tto."),
        ("あっ！", "a↓ʔ!"),
        ("フィルム", "ɸi↓ɾɯmɯ"),
        ("新聞を読む", "ɕi↑ɴbɯɴo jo↓mɯ"),
        ("何ですか？", "na↓ɴdesɯ̥ka?"),
        ("ヴァイオリン", "va↑ioɾiɴ"),
    ],
)
def test_japanese_readings(text: str, expected: str) -> None:
    assert spoken(build("japanese"), text, "ja") == expected


def test_japanese_reads_every_mora_of_its_own() -> None:
    rows = "アイウエオカキクケコガギグゲゴサシスセソザジズゼゾタチツテトダデドナニヌネノハヒフヘホバビブベボパピプペポマミムメモヤユヨラリルレロワ"
    morae = [*rows, *(first + glide for first in "キギシジチニヒビピミリ" for glide in "ャュョ"), "ティ", "ディ", "ファ", "ヴァ", "ウィ", "クォ"]
    said = [spoken(build("japanese"), f"タ{mora}タ", "ja").replace("↑", "").replace("↓", "").replace(" ", "") for mora in morae]
    assert len(set(said)) == len(morae)


@pytest.mark.parametrize("text", ["ー", "・", "ーー。"])
def test_japanese_without_a_word(text: str) -> None:
    assert refused(build("japanese"), text, "ja").reason is ReasonCode.TEXT_UNSPEAKABLE


def test_japanese_threads_do_not_disturb_each_other() -> None:
    made, texts = build("japanese"), sentences("ja")[::9]
    expected = made.phonemize(texts, "ja")
    with ThreadPoolExecutor(4) as pool:
        assert all(got == expected for got in pool.map(lambda _: made.phonemize(texts, "ja"), range(8)))


# --- Mandarin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好", "ni˧˥xau˨˩˦"),  # two dipping tones
        ("很好", "xən˧˥ xau˨˩˦"),  # across words
        ("银行行长在重庆长大", "in˧˥xaŋ˧˥xaŋ˧˥tʂaŋ˨˩˦ tsai˥˩ tʂʰʊŋ˧˥tɕʰiŋ˥˩ tʂaŋ˨˩˦ta˥˩"),  # 行, 长 and 重 by their words
        ("不是、一个", "pu˧˥ʂɻ̩˥˩, i˧˥kɤ˥˩"),
        ("绿色的月亮", "ly˥˩sɤ˥˩ tɤ ɥɛ˥˩ljaŋ˥˩"),
        ("四次", "sɹ̩˥˩tsʰɹ̩˥˩"),
        ("我用iPhone。", "wo˨˩˦jʊŋ˥˩ ˈaɪ fˈoʊn."),
    ],
)
def test_mandarin_readings(text: str, expected: str) -> None:
    assert spoken(build("mandarin"), text, "zh") == expected


def test_mandarin_reads_every_common_character_inside_the_inventory() -> None:
    made = build("mandarin")
    said = made.phonemize([chr(code) for code in range(0x4E00, 0x9FA6)], "zh")
    unread = {chr(0x4E00 + index) for index, phones in enumerate(said) if isinstance(phones, InputError)}
    assert unread == set("兙兡嗧桛烪瓧瓰瓱瓼甅")  # Japanese makes, which have no Chinese reading
    assert len({phones for phones in said}) > 1200  # of some 1,300 syllables with their tones


# --- Korean


def spell(word: str) -> str:
    """A word as it sounds, in Hangul."""
    parts = [(ONSETS.index(s.onset or "ㅇ"), HANGUL_VOWELS.index(s.vowel), CODAS.index(s.coda)) for s in pronounce(word)]
    return "".join(chr(FIRST + onset * 588 + vowel * 28 + coda) for onset, vowel, coda in parts)


# The examples of the Standard Pronunciation (표준 발음법), by article.
STANDARD = {
    "5": "가져 가저|다쳐 다처|희망 히망|무늬 무니",
    "9": "닦다 닥따|키읔 키윽|옷 옫|웃다 욷따|있다 읻따|젖 젇|빚다 빋따|꽃 꼳|쫓다 쫃따|솥 솓|뱉다 밷따|앞 압|덮다 덥따",
    "10": "넋 넉|넋과 넉꽈|앉다 안따|여덟 여덜|넓다 널따|외곬 외골|핥다 할따|값 갑|없다 업따|밟다 밥따|밟소 밥쏘|밟지 밥찌|밟는 밤는|밟게 밥께|"
    "넓죽하다 넙쭈카다",
    "11": "닭 닥|흙과 흑꽈|맑다 막따|늙지 늑찌|삶 삼|젊다 점따|읊고 읍꼬|읊다 읍따|맑게 말께|묽고 물꼬|얽거나 얼꺼나",
    "12": "놓고 노코|좋던 조턴|쌓지 싸치|많고 만코|않던 안턴|닳지 달치|각하 가카|먹히다 머키다|밝히다 발키다|맏형 마텽|좁히다 조피다|넓히다 널피다|"
    "꽂히다 꼬치다|앉히다 안치다|닿소 다쏘|많소 만쏘|싫소 실쏘|놓는 논는|쌓네 싼네|않네 안네|뚫네 뚤레|낳은 나은|놓아 노아|쌓이다 싸이다|"
    "많아 마나|않은 아는|닳아 다라|싫어도 시러도",
    "13": "깎아 까까|옷이 오시|있어 이써|낮이 나지|꽂아 꼬자|꽃을 꼬츨|쫓아 쪼차|밭에 바테|앞으로 아프로|덮이다 더피다",
    "14": "넋이 넉씨|앉아 안자|닭을 달글|젊어 절머|곬이 골씨|핥아 할타|읊어 을퍼|값을 갑쓸|없어 업써",
    "17": "곧이듣다 고지듣따|굳이 구지|미닫이 미다지|땀받이 땀바지|밭이 바치|벼훑이 벼훌치|굳히다 구치다|닫히다 다치다|묻히다 무치다",
    "18": "먹는 멍는|국물 궁물|깎는 깡는|키읔만 키응만|몫몫이 몽목씨|긁는 긍는|흙만 흥만|닫는 단는|짓는 진는|옷맵시 온맵씨|있는 인는|맞는 만는|"
    "젖멍울 전멍울|쫓는 쫀는|꽃망울 꼰망울|붙는 분는|놓는 논는|잡는 잠는|밥물 밤물|앞마당 암마당|밟는 밤는|읊는 음는|없는 엄는",
    "19": "담력 담녁|침략 침냑|강릉 강능|항로 항노|대통령 대통녕|막론 망논|협력 혐녁|십리 심니",
    "20": "난로 날로|신라 실라|천리 철리|광한루 광할루|대관령 대괄령|칼날 칼랄|물난리 물랄리|줄넘기 줄럼기|닳는 달른|뚫는 뚤른|핥네 할레|의견란 의견난|"
    "생산량 생산냥|상견례 상견녜|이원론 이원논",
    "23": "국밥 국빱|깎다 깍따|넋받이 넉빠지|삯돈 삭똔|닭장 닥짱|칡범 칙뻠|뻗대다 뻗때다|옷고름 옫꼬름|있던 읻떤|꽂고 꼳꼬|꽃다발 꼳따발|낯설다 낟썰다|"
    "밭갈이 받까리|곱돌 곱똘|덮개 덥깨|옆집 엽찝|읊조리다 읍쪼리다|값지다 갑찌다",
    "24": "앉고 안꼬|얹다 언따|닮고 담꼬|젊지 점찌",
    "25": "넓게 널께|핥다 할따|훑소 훌쏘|떫지 떨찌",
}


@pytest.mark.parametrize("article", STANDARD)
def test_korean_follows_the_examples_of_the_standard(article: str) -> None:
    pairs = [pair.split() for pair in STANDARD[article].split("|")]
    assert [(written, spell(written)) for written, _ in pairs] == [(written, said) for written, said in pairs]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("안녕하세요.", "annjʌŋhasejo."),
        ("한국말 가방", "hanɡuŋmal kabaŋ"),
        ("쌀, 살", "s\u0348al, sal"),
        ("시계", "ɕiɡje"),
        ("신라 독립", "ɕilla toŋnip\u031a"),
        ("TV 지하철", "tˌiːvˈiː tɕihatɕʰʌl"),
        ("십육 개", "ɕimnjuk\u031a kɛ"),
    ],
)
def test_korean_readings(text: str, expected: str) -> None:
    assert spoken(build("korean"), text, "ko") == expected


def test_korean_pronounces_every_pair_of_syllables_in_the_seven_codas() -> None:
    for coda in CODAS:
        for onset in ONSETS:
            for vowel in "ㅏㅣㅕ":
                word = "".join(
                    unicodedata.normalize("NFC", chr(FIRST + first * 588 + HANGUL_VOWELS.index(middle) * 28 + CODAS.index(last)))
                    for first, middle, last in ((0, "ㅏ", coda), (ONSETS.index(onset), vowel, ""))
                )
                assert {syllable.coda for syllable in pronounce(word)} <= set("ㄱㄴㄷㄹㅁㅂㅇ") | {""}
    assert pronounce("") == []


def test_lone_letters_of_hangul_are_refused() -> None:
    assert "ㅋㅋ" in str(refused(build("korean"), "웃겨 ㅋㅋ", "ko"))
