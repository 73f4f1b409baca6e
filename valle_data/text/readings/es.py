"""Spanish."""

import re

from valle_data.text.readings.base import CLOCK, Currency, Reading, Unit

MONTHS = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()
ORDINAL = re.compile(r"(?<![\w.,])(?P<number>\d{1,3})(?P<ending>\.?[ºª°]|\.?er\b)")


class Spanish(Reading):
    """Day before month; `uno` loses its vowel before what it counts."""

    language = "es"
    abbreviations = {
        "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Sres.": "señores", "Dña.": "doña", "Dr.": "doctor", "Dra.": "doctora",
        "Prof.": "profesor", "Ud.": "usted", "Uds.": "ustedes", "Vd.": "usted", "etc.": "etcétera", "p. ej.": "por ejemplo", "Av.": "avenida",
        "Avda.": "avenida", "Sto.": "santo", "Sta.": "santa", "EE. UU.": "Estados Unidos", "EE.UU.": "Estados Unidos", "aprox.": "aproximadamente",
        "a. C.": "antes de Cristo", "d. C.": "después de Cristo",
    }  # fmt: skip
    patterns = ((re.compile(r"(?<![\w.])[Nn](?:\.?º|°|úm\.) ?(?=\d)"), "número "), (re.compile(r"(?<![\w.])p(?:ág)?\. ?(?=\d)"), "página "))
    currencies = {
        "$": Currency("dólar", "dólares", "centavo", "centavos"), "€": Currency("euro", "euros", "céntimo", "céntimos"),
        "£": Currency("libra", "libras", "penique", "peniques", feminine=True), "¥": Currency("yen", "yenes"), "₩": Currency("won", "wones"),
    }  # fmt: skip
    units = {
        "%": Unit("por ciento", "por ciento"), "km": Unit("kilómetro", "kilómetros"), "km/h": Unit("kilómetro por hora", "kilómetros por hora"),
        "kg": Unit("kilogramo", "kilogramos"), "cm": Unit("centímetro", "centímetros"), "mm": Unit("milímetro", "milímetros"),
        "°C": Unit("grado Celsius", "grados Celsius"), "°": Unit("grado", "grados"),
    }  # fmt: skip
    symbols = {"&": "y"}
    clock = re.compile(CLOCK + r"(?:\s?h\b\.?)?")

    def date(self, year: int, month: int, day: int) -> str:
        return f"{'primero' if day == 1 else self.number(day)} de {MONTHS[month - 1]} de {self.number(year)}"

    def time(self, hour: int, minute: int) -> str:
        said = self.number(hour)[:-1] + "a" if hour in (1, 21) else self.number(hour)
        return f"{said} y {self.number(minute)}" if minute else f"{said} en punto"

    def counted(self, value: int, feminine: bool) -> str:
        said = self.number(value)
        if not said.endswith("uno"):
            return said
        return said[:-1] + "a" if feminine else said[:-3] + ("ún" if said.endswith("veintiuno") else "un")

    def money(self, units: int, hundredths: int, currency: Currency) -> str:
        whole = super().money(units, 0, currency)
        if not hundredths:
            return whole
        return f"{whole} con {self.counted(hundredths, False)} {currency.hundredth_one if hundredths == 1 else currency.hundredths}"

    def measure(self, number: str, unit: Unit) -> str:
        return f"un {unit.one}" if number == "1" and unit.one != unit.many else super().measure(number, unit)

    def ordinals(self, text: str) -> str:
        return ORDINAL.sub(self._ordinal, text)

    def _ordinal(self, match: re.Match[str]) -> str:
        said = self.number(int(match["number"]), "ordinal")
        if match["ending"].endswith("er"):
            return said[:-1] if said.endswith(("primero", "tercero")) else said
        return " ".join(word[:-1] + "a" for word in said.split()) if match["ending"].endswith("ª") else said
