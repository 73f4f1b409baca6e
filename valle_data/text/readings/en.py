"""English."""

import re

from valle_data.text.readings.base import CLOCK, DAY_FIRST, MONTH_FIRST, YEAR_FIRST, Currency, Reading, Unit

MONTHS = "January February March April May June July August September October November December".split()
ORDINAL = re.compile(r"(?<![\w.,])(\d{1,9})(?:st|nd|rd|th)\b", re.IGNORECASE)
NAMED_DATE = re.compile(rf"\b(?P<month>{'|'.join(MONTHS)}) (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?![\w:]|[.,]\d)(?:,? (?P<year>[12]\d{{3}})(?![\w:]|[.,]\d))?")
YEAR = re.compile(r"\b(?P<before>in|since|by|from|until|till|year|(?:January|February|March|April|May|June|July|August|September|October|November|December),?) "
                  r"(?P<year>1[1-9]\d\d|20\d\d)(?![\w:%]|[.,]\d| ?[$€£¥])", re.IGNORECASE)  # fmt: skip
SCALED_MONEY = re.compile(r"(?P<sign>[$€£¥₩])\s?(?P<number>\d+(?:\.\d+)?) (?P<scale>hundred|thousand|million|billion|trillion)\b")


class English(Reading):
    """American where the tag has no region: month before day in 5/3/2024."""

    language = "en"
    abbreviations = {
        "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miz", "Dr.": "Doctor", "Prof.": "Professor", "Jr.": "Junior", "Sr.": "Senior", "Rev.": "Reverend",
        "Gen.": "General", "Col.": "Colonel", "Capt.": "Captain", "Lt.": "Lieutenant", "Sgt.": "Sergeant", "Gov.": "Governor", "Sen.": "Senator",
        "Hon.": "Honorable", "Mt.": "Mount", "Ave.": "Avenue", "Blvd.": "Boulevard", "Rd.": "Road", "etc.": "et cetera", "e.g.": "for example",
        "i.e.": "that is", "vs.": "versus", "approx.": "approximately", "dept.": "department", "Dept.": "Department", "Inc.": "Incorporated",
        "Ltd.": "Limited", "Corp.": "Corporation", "Co.": "Company", "Bros.": "Brothers",
    }  # fmt: skip
    patterns = (
        (re.compile(r"(?<![\w.])St\. (?=[A-Z])"), "Saint "),
        (re.compile(r"(?<![\w.])St\.(?=\s*$)"), "Street."),
        (re.compile(r"(?<![\w.])St\."), "Street"),
        (re.compile(r"(?<![\w.])[Nn]o\. ?(?=\d)"), "number "),
        (re.compile(r"(?<![\w.])pp\. ?(?=\d)"), "pages "),
        (re.compile(r"(?<![\w.])p\. ?(?=\d)"), "page "),
    )
    currencies = {
        "$": Currency("dollar", "dollars", "cent", "cents"),
        "€": Currency("euro", "euros", "cent", "cents"),
        "£": Currency("pound", "pounds", "penny", "pence"),
        "¥": Currency("yen", "yen"),
        "₩": Currency("won", "won"),
    }
    units = {
        "%": Unit("percent", "percent"), "km": Unit("kilometer", "kilometers"), "km/h": Unit("kilometer per hour", "kilometers per hour"),
        "kg": Unit("kilogram", "kilograms"), "cm": Unit("centimeter", "centimeters"), "mm": Unit("millimeter", "millimeters"),
        "mph": Unit("mile per hour", "miles per hour"), "°C": Unit("degree Celsius", "degrees Celsius"), "°F": Unit("degree Fahrenheit", "degrees Fahrenheit"),
        "°": Unit("degree", "degrees"),
    }  # fmt: skip
    symbols = {"&": "and"}
    clock = re.compile(CLOCK + r"(?:\s?(?P<half>[AaPp])\.?[Mm]\b\.?)?")

    def date_patterns(self) -> tuple[re.Pattern[str], ...]:
        month_first = self.region in ("", "us", "ph")
        return (YEAR_FIRST, MONTH_FIRST if month_first else DAY_FIRST, NAMED_DATE)

    def _say_date(self, match: re.Match[str]) -> str:
        if match["month"].isdecimal():
            return super()._say_date(match)
        said = f"{match['month']} {self.number(int(match['day']), 'ordinal')}"
        return f"{said}, {self.number(int(match['year']), 'year')}" if match["year"] else said

    def date(self, year: int, month: int, day: int) -> str:
        return f"{MONTHS[month - 1]} {self.number(day, 'ordinal')}, {self.number(year, 'year')}"

    def _say_clock(self, match: re.Match[str]) -> str:
        half = f" {match['half'].upper()} M" if match["half"] else ""
        hour, minute = int(match["hour"]), int(match["minute"])
        return (self.number(hour) if half and not minute else self.time(hour, minute)) + half

    def time(self, hour: int, minute: int) -> str:
        if not minute:
            return f"{self.number(hour)} o'clock" if 1 <= hour <= 12 else f"{self.number(hour)} hundred hours" if hour else "midnight"
        return f"{self.number(hour)} {'oh ' if minute < 10 else ''}{self.number(minute)}"

    def money(self, units: int, hundredths: int, currency: Currency) -> str:
        whole = super().money(units, 0, currency)
        if not hundredths:
            return whole
        parts = f"{self.number(hundredths)} {currency.hundredth_one if hundredths == 1 else currency.hundredths}"
        return f"{whole} and {parts}" if units else parts

    def read(self, text: str) -> str:
        text = SCALED_MONEY.sub(lambda match: f"{match['number']} {match['scale']} {self.currencies[match['sign']].many}", text)
        return super().read(text)

    def ordinals(self, text: str) -> str:
        text = ORDINAL.sub(lambda match: self.number(int(match.group(1)), "ordinal"), text)
        return YEAR.sub(lambda match: f"{match['before']} {self.number(int(match['year']), 'year')}", text)
