"""German."""

import re

from valle_data.text.readings.base import CLOCK, Currency, Reading, Unit

MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()
COUNTED = "Jahrhunderts?|Jahrestag|Geburtstag|Platz|Stock|Kapitel|Klasse|Mal|Tag|Woche|Runde|Etage|Auflage|Band|Teil|Bezirk|Weltkrieg"
ORDINAL = re.compile(
    rf"(?<![\w.,])(?:(?P<before>(?i:am|vom|zum|dem|den|im|beim|seit|ab|der|des|die|das)) )?(?P<number>\d{{1,3}})\. (?=(?:{'|'.join(MONTHS)}|{COUNTED})\b)"
)
YEAR = re.compile(r"(?<= )(?P<year>1[1-9]\d\d)(?![\w:%]|[.,]\d| ?[$€£¥])")
DECLINING = re.compile(r"\b(?:am|vom|zum|dem|den|beim|seit|ab) \Z", re.IGNORECASE)
ADJECTIVE_E = frozenset({"der", "die", "das"})


class German(Reading):
    """Day before month; ordinals are declined by the article in front."""

    language = "de"
    abbreviations = {
        "z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt", "u. a.": "unter anderem", "u.a.": "unter anderem",
        "usw.": "und so weiter", "bzw.": "beziehungsweise", "ca.": "circa", "Dr.": "Doktor", "Prof.": "Professor", "Hr.": "Herr", "Fr.": "Frau",
        "Str.": "Straße", "St.": "Sankt", "evtl.": "eventuell", "ggf.": "gegebenenfalls", "inkl.": "inklusive", "vgl.": "vergleiche", "sog.": "sogenannte",
        "Mio.": "Millionen", "Mrd.": "Milliarden", "Std.": "Stunden", "Min.": "Minuten", "Abb.": "Abbildung", "Kap.": "Kapitel", "Hrsg.": "Herausgeber",
        "geb.": "geboren", "v. Chr.": "vor Christus", "n. Chr.": "nach Christus",
    }  # fmt: skip
    patterns = (
        (re.compile(r"(?<![\w.])Nr\. ?(?=\d)"), "Nummer "),
        (re.compile(r"(?<![\w.])S\. ?(?=\d)"), "Seite "),
        (re.compile(r"(?<![\d:.,])([01]?\d|2[0-3])\.([0-5]\d) Uhr\b"), r"\1:\2 Uhr"),
    )
    currencies = {
        "$": Currency("Dollar", "Dollar", "Cent", "Cent"), "€": Currency("Euro", "Euro", "Cent", "Cent"), "£": Currency("Pfund", "Pfund", "Penny", "Pence"),
        "¥": Currency("Yen", "Yen"), "₩": Currency("Won", "Won"),
    }  # fmt: skip
    units = {
        "%": Unit("Prozent", "Prozent"), "km": Unit("Kilometer", "Kilometer"), "km/h": Unit("Kilometer pro Stunde", "Kilometer pro Stunde"),
        "kg": Unit("Kilogramm", "Kilogramm"), "cm": Unit("Zentimeter", "Zentimeter"), "mm": Unit("Millimeter", "Millimeter"),
        "°C": Unit("Grad Celsius", "Grad Celsius"), "°": Unit("Grad", "Grad"),
    }  # fmt: skip
    symbols = {"&": "und", "§": "Paragraf"}
    clock = re.compile(CLOCK + r"(?: Uhr\b)?")

    def date(self, year: int, month: int, day: int) -> str:
        return f"{self.number(day, 'ordinal')}r {MONTHS[month - 1]} {self.number(year, 'year')}"

    def _say_date(self, match: re.Match[str]) -> str:
        """The word in front decides the ending: `am 3.5.2024` is "am dritten Mai"."""
        said = super()._say_date(match)
        if not DECLINING.search(match.string[max(0, match.start() - 6) : match.start()]):
            return said
        return said.replace("r ", "n ", 1) if said != match.group() else said

    def time(self, hour: int, minute: int) -> str:
        said = f"{'ein' if hour == 1 else self.number(hour)} Uhr"
        return f"{said} {self.number(minute)}" if minute else said

    def counted(self, value: int, feminine: bool) -> str:
        return "ein" if value == 1 else self.number(value)

    def measure(self, number: str, unit: Unit) -> str:
        return f"ein {unit.one}" if number == "1" else f"{number} {unit.many}"

    def ordinals(self, text: str) -> str:
        text = ORDINAL.sub(self._ordinal, text)
        return YEAR.sub(lambda match: self.number(int(match["year"]), "year"), text)

    def _ordinal(self, match: re.Match[str]) -> str:
        stem, before = self.number(int(match["number"]), "ordinal"), match["before"]
        ending = "r" if before is None else "" if before.lower() in ADJECTIVE_E else "n"
        return (f"{before} " if before else "") + f"{stem}{ending} "
