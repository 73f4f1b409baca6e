"""Mandarin: forms become hanzi numerals."""

import re

from valle_data.text.hanzi_numbers import spell_digits
from valle_data.text.readings.base import YEAR_FIRST, Currency, Reading, Unit

YEAR = re.compile(r"(?<!\d)(\d{4})(?=年)")
TWO = re.compile(r"(?<![\d.,])2(?=[个位只本张条次天年块件种双倍名头匹辆座间家杯瓶碗公斤里米小时分])")


class Chinese(Reading):
    """Years digit by digit, 两 before measure words, the percentage in front."""

    language = "zh"
    currencies = {sign: Currency(name, name) for sign, name in {"$": "美元", "€": "欧元", "£": "英镑", "¥": "元", "₩": "韩元"}.items()}
    units = {
        sign: Unit(name, name) for sign, name in {"%": "百分之", "km": "公里", "kg": "公斤", "cm": "厘米", "mm": "毫米", "°C": "摄氏度", "℃": "摄氏度"}.items()
    }

    def date_patterns(self) -> tuple[re.Pattern[str], ...]:
        return (YEAR_FIRST,)

    def date(self, year: int, month: int, day: int) -> str:
        return f"{spell_digits(str(year))}年{self.number(month)}月{self.number(day)}日"

    def time(self, hour: int, minute: int) -> str:
        said = f"{'两' if hour == 2 else self.number(hour)}点"
        return f"{said}{'零' if minute < 10 else ''}{self.number(minute)}分" if minute else said

    def money(self, units: int, hundredths: int, currency: Currency) -> str:
        return f"{'两' if units == 2 else self.number(units)}{currency.one}"

    def measure(self, number: str, unit: Unit) -> str:
        return f"{unit.one}{number}" if unit.one == "百分之" else f"{number}{unit.one}"

    def ordinals(self, text: str) -> str:
        return TWO.sub("两", YEAR.sub(lambda match: spell_digits(match.group()), text))
