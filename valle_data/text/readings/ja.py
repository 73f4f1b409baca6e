"""Japanese: forms become kanji numerals and counters, which Open JTalk reads with their sound changes (三本 さんぼん)."""

import re

from valle_data.text.readings.base import YEAR_FIRST, Currency, Reading, Unit

UNITS = {"%": "パーセント", "km": "キロメートル", "kg": "キログラム", "cm": "センチメートル", "mm": "ミリメートル", "°C": "度", "℃": "度"}


class Japanese(Reading):
    """Years are counted, as in 二千二十四年."""

    language = "ja"
    currencies = {sign: Currency(name, name) for sign, name in {"$": "ドル", "€": "ユーロ", "£": "ポンド", "¥": "円", "₩": "ウォン"}.items()}
    units = {sign: Unit(name, name) for sign, name in UNITS.items()}

    def date_patterns(self) -> tuple[re.Pattern[str], ...]:
        return (YEAR_FIRST,)

    def date(self, year: int, month: int, day: int) -> str:
        return f"{self.number(year)}年{self.number(month)}月{self.number(day)}日"

    def time(self, hour: int, minute: int) -> str:
        return f"{self.number(hour)}時" + (f"{self.number(minute)}分" if minute else "")

    def money(self, units: int, hundredths: int, currency: Currency) -> str:
        return f"{self.number(units)}{currency.one}"

    def measure(self, number: str, unit: Unit) -> str:
        return f"{number}{unit.one}"
