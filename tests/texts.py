"""Sentences in many languages, every beginning with every ending, at least 200 a language; and phonemizers to read them."""

from itertools import product

from valle_data.errors import InputError
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.base import Phonemizer

BEGINNINGS_AND_ENDINGS: dict[str, tuple[str, str]] = {
    "en": (
        "The old man|My sister|Nobody|A quick brown fox|The captain's daughter|Every morning she|Three judges|That strange machine|Our neighbour|"
        "Yesterday, they|The youngest child|Doctor Jones|You and I|Whoever knocked|The museum",
        "opened the door slowly.|laughed about it!|could not sleep last night.|measured the pleasure of azure seas.|saw the whole village burning.|"
        "will bring both brothers home, won't they?|thought through the rough cough; though tough.|used an usual vision.|played chess in church.|"
        "asked: which wheel?|heard singing from the tower.|yearned for fresh air.|bought eight oranges and a huge jar.|judged the edges badly.",
    ),
    "de": (
        "Der alte Mann|Meine Schwester|Niemand|Ein schneller Fuchs|Die Tochter des Kapitäns|Jeden Morgen|Drei Richter|Jene seltsame Maschine|"
        "Unser Nachbar|Gestern|Das jüngste Kind|Herr Doktor Müller|Du und ich|Zwölf Boxkämpfer|Das Museum in Köln",
        "öffnete langsam die Tür.|lachte darüber!|konnte nachts nicht schlafen.|jagt Viktor quer über den großen Deich.|sah das ganze Dorf brennen.|"
        "bringt beide Brüder heim, nicht wahr?|dachte durch die Nacht; trotzdem.|spielte Schach in der Kirche.|fragte: welches Rad?|"
        "hörte Gesang vom Turm.|sehnte sich nach frischer Luft.|kaufte acht Äpfel und ein Glas Honig.|beurteilte die Häuser schlecht.|"
        "genoss die Garage im Journal.",
    ),
    "fr": (
        "Le vieil homme|Ma sœur|Personne|Un renard rapide|La fille du capitaine|Chaque matin, elle|Trois juges|Cette étrange machine|Notre voisin|"
        "Hier, on|Le plus jeune enfant|Le docteur Lefèvre|Toi et moi|Une brune|Le musée d'Orsay",
        "ouvrit lentement la porte.|en a ri !|ne pouvait pas dormir la nuit dernière.|préfère les jattes de kiwis.|a vu tout le village brûler.|"
        "ramènera les deux frères, n'est-ce pas ?|pensait à un bon vin blanc ; pourtant.|jouait aux échecs à l'église.|demanda : quelle roue ?|"
        "entendit chanter du haut de la tour.|aspirait à l'air frais.|acheta huit oignons et un œuf.|jugeait mal les feuilles.|"
        "gagne à la campagne aujourd'hui.",
    ),
    "es": (
        "El anciano|Mi hermana|Nadie|Un zorro veloz|La hija del capitán|Cada mañana|Tres jueces|Aquella máquina extraña|Nuestro vecino|Ayer|"
        "El niño más pequeño|El doctor Núñez|El pingüino Wenceslao|Quien llamó|El museo de Cádiz",
        "abrió despacio la puerta.|se rio de ello.|no pudo dormir anoche.|hizo kilómetros bajo la lluvia y el frío.|vio arder todo el pueblo.|"
        "traerá a los dos hermanos, ¿verdad?|pensó en voz baja; sin embargo.|jugaba al ajedrez en la iglesia.|preguntó: ¿qué rueda?|"
        "oyó cantar desde la torre.|anhelaba el aire fresco.|compró ocho naranjas y una jarra.|juzgó mal los bordes.|¡añoraba a su querido cachorro!",
    ),
    "it": (
        "Il vecchio|Mia sorella|Nessuno|Una volpe veloce|La figlia del capitano|Ogni mattina|Tre giudici|Quella strana macchina|Il nostro vicino|"
        "Ieri|Il bambino più piccolo|Il dottor Rossi|Gli gnomi|Chi ha bussato|Il museo degli Uffizi",
        "aprì lentamente la porta.|ne rise!|non riusciva a dormire stanotte.|ha raggiunto il quieto Fido.|vide bruciare tutto il villaggio.|"
        "porterà a casa i due fratelli, vero?|pensò a voce bassa; però.|giocava a scacchi in chiesa.|chiese: quale ruota?|sentì cantare dalla torre.|"
        "desiderava l'aria fresca.|comprò otto arance e una brocca.|giudicò male gli spigoli.|sceglie l'acqua e le bucce.",
    ),
    "ja": (
        "老人は|私の妹は|誰も知らないが、|素早い狐が|船長の娘が|毎朝、彼女は|三人の裁判官は|あの奇妙な機械は|隣のジョンさんは|昨日、友達と|"
        "一番下の子供は|ヴァイオリン弾きは|あなたと私は|ノックした人は|東京の美術館は",
        "ゆっくりとドアを開けた。|それを聞いて笑った！|昨夜、眠れなかった。|ちょっと待ってと言った。|村全体が燃えるのを見た。|"
        "兄弟を連れて帰りますか？|きっと学校へ行きます。|百円の切手を買った。|「どの車輪ですか」と尋ねた。|塔からの歌声を聞いた。|"
        "新鮮な空気が欲しかった。|ケーキとコーヒーを注文した。|日本語の新聞を読んでいる。|雨が降っても、びゅんびゅん走る。",
    ),
    "zh": (
        "老人|我的妹妹|没有人|一只敏捷的狐狸|船长的女儿|每天早上，她|三位法官|那台奇怪的机器|我们的邻居|昨天，他们|最小的孩子|琼斯医生|你和我|"
        "敲门的人|北京的博物馆",
        "慢慢地打开了门。|为此笑了！|昨晚睡不着觉。|看到整个村庄在燃烧。|会把两个兄弟带回家吗？|想了很久；不过没说。|在教堂里下棋。|问：哪个轮子？|"
        "听见塔上传来歌声。|渴望新鲜空气。|买了八个橙子和一个大罐子。|判断错了边缘。|去银行取钱。|喜欢吃绿色的葡萄，女儿也喜欢。",
    ),
    "ko": (
        "노인은|내 여동생은|아무도|재빠른 여우가|선장의 딸은|매일 아침 그녀는|세 명의 판사가|그 이상한 기계는|우리 이웃은|어제, 친구들과|"
        "가장 어린 아이는|의사 선생님은|너와 나는|문을 두드린 사람은|서울의 박물관은",
        "천천히 문을 열었다.|그것을 듣고 웃었다!|어젯밤 잠을 못 잤다.|마을 전체가 타는 것을 보았다.|두 형제를 데리고 옵니까?|"
        "오래 생각했지만 말하지 않았다.|교회에서 바둑을 둔다.|물었다: 어느 바퀴?|탑에서 노래를 들었다.|신선한 공기를 원했다.|귤 여덟 개를 샀다.|"
        "값이 싸고 맛있는 떡볶이를 먹는다.|꽃잎이 흩날린다.|왕십리에서 독립문까지 걷는다.",
    ),
}


def sentences(language: str) -> list[str]:
    """At least 200 sentences of a language, always the same."""
    beginnings, endings = BEGINNINGS_AND_ENDINGS[language]
    gap = "" if language in ("ja", "zh") else " "
    return [f"{beginning}{gap}{ending}" for beginning, ending in product(beginnings.split("|"), endings.split("|"))]


HOME = {"japanese": "ja", "mandarin": "zh", "korean": "ko"}


def build(name: str) -> Phonemizer:
    return PHONEMIZERS[name](PHONEMIZERS[name].Config())


def home(phonemizer: Phonemizer) -> str:
    """A language that the phonemizer speaks."""
    return HOME.get(phonemizer.config.name, "en")  # type: ignore[attr-defined]


def spoken(phonemizer: Phonemizer, text: str, language: str = "en-us") -> str:
    (phones,) = phonemizer.phonemize([text], language)
    assert not isinstance(phones, InputError), phones
    return "".join(phones)


def refused(phonemizer: Phonemizer, text: str, language: str = "en-us") -> InputError:
    (error,) = phonemizer.phonemize([text], language)
    assert isinstance(error, InputError)
    return error
