"""Which subtags may follow a language in a BCP 47 tag: scripts, regions and variants of the IANA registry (RFC 5646, section 2.2), lower case.

Regions are the countries of ISO 3166-1 and any UN M.49 number; scripts those in living use; variants all that the registry lists.
"""

import re

REGIONS = frozenset(
    "ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr "
    "cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht "
    "hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp "
    "mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh "
    "si sj sk sl sm sn so sr ss st sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug um un us uy uz va vc ve vg vi vn vu wf ws xk ye yt za "
    "zm zw".split()
)
SCRIPTS = frozenset(
    "adlm arab aran armn beng bopo brai cans cher cyrl deva ethi geor grek gujr guru hang hani hans hant hebr hira hrkt jamo jpan kana khmr knda kore laoo "
    "latn lisu mlym mong mtei mymr nkoo olck orya rohg sinh sund syrc tale talu taml telu tfng thaa thai tibt vaii yiii zinh zyyy zzzz".split()
)
VARIANTS = frozenset(
    "1606nict 1694acad 1901 1959acad 1994 1996 abl1943 akuapem alalc97 aluku anpezo ao1990 aranes arevela arevmda arkaika asante auvern baku1926 balanka "
    "barla basiceng bauddha bciav bcizbl biscayan biske blasl bohoric boont bornholm cisaup colb1945 cornu creiss dajnko ekavsk emodeng fascia fodom fonipa "
    "fonkirsh fonnapa fonupa fonxsamp gallo gascon gherd grclass grital grmistr hepburn heploc hognorsk hsistemo ijekavsk itihasa ivanchov jauer jyutping "
    "kkcor kleinsch kociewie kscor laukika lemosin lengadoc lipaw ltg1929 ltg2007 luna1918 mdcegyp mdctrans metelko monoton ndyuka nedis newfound nicard "
    "njiva nulik osojs oxendict pahawh2 pahawh3 pahawh4 pamaka peano pehoeji petr1708 pinyin polyton provenc puter rigik rozaj rumgr saaho scotland scouse "
    "simple solba sotav spanglis surmiran sursilv sutsilv synnejyl tailo tarask tongyong tunumiis uccor ucrcor ulster unifon vaidika valbadia valencia "
    "vallader vecdruka viennese vivaraup wadegile xsistemo".split()
)
NUMERIC_REGION = re.compile(r"\d{3}")
SINGLETON = re.compile(r"[0-9a-z]")


def unregistered(tag: str) -> str | None:
    """The first subtag behind the language that is no script, region or variant; what follows a singleton (`x` private use, `u` ...) is free."""
    for subtag in tag.split("-")[1:]:
        if SINGLETON.fullmatch(subtag):
            return None
        if not (subtag in REGIONS or subtag in SCRIPTS or subtag in VARIANTS or NUMERIC_REGION.fullmatch(subtag)):
            return subtag
    return None
