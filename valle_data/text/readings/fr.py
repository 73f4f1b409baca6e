"""French."""

import re

from valle_data.text.readings.base import Currency, Reading, Unit

MONTHS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()
ORDINAL = re.compile(r"(?<![\w.,])(?P<number>\d{1,4})(?P<ending>ers?|[eè]res?|res?|nde?s?|i?[eè]mes?|es?)\b")


class French(Reading):
    """Day before month; hours with h or a colon."""

    language = "fr"
    abbreviations = {
        "M.": "Monsieur", "Mme": "Madame", "Mmes": "Mesdames", "Mlle": "Mademoiselle", "MM.": "Messieurs", "Dr": "Docteur", "Dr.": "Docteur",
        "etc.": "et cetera", "p. ex.": "par exemple", "c.-à-d.": "c'est-à-dire", "av.": "avenue", "bd": "boulevard", "St": "Saint", "Ste": "Sainte",
        "env.": "environ", "apr. J.-C.": "après Jésus-Christ", "av. J.-C.": "avant Jésus-Christ",
    }  # fmt: skip
    patterns = ((re.compile(r"(?<![\w.])[Nn](?:°|º|o\.) ?(?=\d)"), "numéro "), (re.compile(r"(?<![\w.])p\. ?(?=\d)"), "page "))
    currencies = {
        "$": Currency("dollar", "dollars", "centime", "centimes"), "€": Currency("euro", "euros", "centime", "centimes"),
        "£": Currency("livre", "livres", "penny", "pence", feminine=True), "¥": Currency("yen", "yens"), "₩": Currency("won", "wons"),
    }  # fmt: skip
    units = {
        "%": Unit("pour cent", "pour cent"), "km": Unit("kilomètre", "kilomètres"), "km/h": Unit("kilomètre heure", "kilomètres heure"),
        "kg": Unit("kilogramme", "kilogrammes"), "cm": Unit("centimètre", "centimètres"), "mm": Unit("millimètre", "millimètres"),
        "°C": Unit("degré Celsius", "degrés Celsius"), "°": Unit("degré", "degrés"),
    }  # fmt: skip
    symbols = {"&": "et"}
    clock = re.compile(r"(?<![\d:.,])(?P<hour>[01]?\d|2[0-3])(?::|\s?[hH]\s?)(?P<minute>[0-5]\d)?(?![\w:])")

    def date(self, year: int, month: int, day: int) -> str:
        return f"{'premier' if day == 1 else self.number(day)} {MONTHS[month - 1]} {self.number(year)}"

    def _say_clock(self, match: re.Match[str]) -> str:
        if match["minute"] is None and ":" in match.group():
            return match.group()
        return self.time(int(match["hour"]), int(match["minute"] or 0))

    def time(self, hour: int, minute: int) -> str:
        said = f"{self.counted(hour, True)} {'heure' if hour < 2 else 'heures'}"
        return f"{said} {self.counted(minute, True)}" if minute else said

    def counted(self, value: int, feminine: bool) -> str:
        said = self.number(value)
        return said + "e" if feminine and said.endswith("un") else said

    def ordinals(self, text: str) -> str:
        return ORDINAL.sub(self._ordinal, text)

    def _ordinal(self, match: re.Match[str]) -> str:
        number, ending = int(match["number"]), match["ending"]
        plural = "s" if ending.endswith("s") else ""
        if number == 1:
            return ("première" if ending.rstrip("s") in ("re", "ère", "ere") else "premier") + plural
        if ending.startswith("n") and number == 2:
            return ("seconde" if "e" in ending else "second") + plural
        return self.number(number, "ordinal") + plural
