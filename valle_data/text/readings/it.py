"""Italian."""

import re

from valle_data.text.readings.base import Currency, Reading, Unit

MONTHS = "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre".split()
ORDINAL = re.compile(r"(?<![\w.,])(?P<number>\d{1,3})(?P<ending>[ºª°](?!\s?[CF]\b))")


class Italian(Reading):
    """Day before month; the first of a month is an ordinal."""

    language = "it"
    abbreviations = {
        "Sig.": "signor", "sig.": "signor", "Sig.ra": "signora", "sig.ra": "signora", "Sigg.": "signori", "Dott.": "dottor", "dott.": "dottor",
        "Dott.ssa": "dottoressa", "dott.ssa": "dottoressa", "Prof.": "professor", "prof.": "professor", "Prof.ssa": "professoressa", "Ing.": "ingegner",
        "Avv.": "avvocato", "ecc.": "eccetera", "es.": "esempio", "S.p.A.": "società per azioni", "ca.": "circa", "a.C.": "avanti Cristo",
        "d.C.": "dopo Cristo", "p.es.": "per esempio",
    }  # fmt: skip
    patterns = ((re.compile(r"(?<![\w.])[Nn](?:\.|°|º) ?(?=\d)"), "numero "), (re.compile(r"(?<![\w.])p(?:ag)?\. ?(?=\d)"), "pagina "))
    currencies = {
        "$": Currency("dollaro", "dollari", "centesimo", "centesimi"), "€": Currency("euro", "euro", "centesimo", "centesimi"),
        "£": Currency("sterlina", "sterline", "penny", "pence", feminine=True), "¥": Currency("yen", "yen"), "₩": Currency("won", "won"),
    }  # fmt: skip
    units = {
        "%": Unit("per cento", "per cento"), "km": Unit("chilometro", "chilometri"), "km/h": Unit("chilometro orario", "chilometri orari"),
        "kg": Unit("chilogrammo", "chilogrammi"), "cm": Unit("centimetro", "centimetri"), "mm": Unit("millimetro", "millimetri"),
        "°C": Unit("grado Celsius", "gradi Celsius"),
    }  # fmt: skip
    symbols = {"&": "e"}

    def date(self, year: int, month: int, day: int) -> str:
        return f"{'primo' if day == 1 else self.number(day)} {MONTHS[month - 1]} {self.number(year)}"

    def time(self, hour: int, minute: int) -> str:
        said = "una" if hour == 1 else self.number(hour)
        return f"{said} e {self.number(minute)}" if minute else said

    def counted(self, value: int, feminine: bool) -> str:
        return ("una" if feminine else "un") if value == 1 else self.number(value)

    def money(self, units: int, hundredths: int, currency: Currency) -> str:
        whole = super().money(units, 0, currency)
        if not hundredths:
            return whole
        return f"{whole} e {self.counted(hundredths, False)} {currency.hundredth_one if hundredths == 1 else currency.hundredths}"

    def measure(self, number: str, unit: Unit) -> str:
        return f"un {unit.one}" if number == "1" and unit.one != unit.many else super().measure(number, unit)

    def ordinals(self, text: str) -> str:
        return ORDINAL.sub(self._ordinal, text)

    def _ordinal(self, match: re.Match[str]) -> str:
        said = self.number(int(match["number"]), "ordinal")
        return said[:-1] + "a" if match["ending"] == "ª" else said
