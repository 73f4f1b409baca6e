"""Korean: native numerals before native counters, Sino-Korean ones elsewhere."""

import re

from valle_data.text.readings.base import YEAR_FIRST, Currency, Reading, Unit

ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
COUNTERS = "시간|사람|마리|가지|그루|송이|자루|켤레|군데|명|개|살|시|잔|병|대|권|벌|채|통"
COUNTED = re.compile(rf"(?<![\d.,])(?P<number>[1-9]\d?) ?(?P<counter>{COUNTERS})")
MONTH = re.compile(r"(?<![\d.,])(6|10)월")


class Korean(Reading):
    """한 시 삼십 분: hours are native, minutes Sino-Korean."""

    language = "ko"
    currencies = {sign: Currency(name, name) for sign, name in {"$": "달러", "€": "유로", "£": "파운드", "¥": "엔", "₩": "원"}.items()}
    units = {
        sign: Unit(name, name)
        for sign, name in {"%": "퍼센트", "km": "킬로미터", "kg": "킬로그램", "cm": "센티미터", "mm": "밀리미터", "°C": "도", "℃": "도"}.items()
    }

    def date_patterns(self) -> tuple[re.Pattern[str], ...]:
        return (YEAR_FIRST,)

    def date(self, year: int, month: int, day: int) -> str:
        named = {6: "유", 10: "시"}.get(month, self.number(month))
        return f"{self.number(year)}년 {named}월 {self.number(day)}일"

    def time(self, hour: int, minute: int) -> str:
        said = f"{native(hour) if 1 <= hour <= 12 else self.number(hour)} 시"
        return f"{said} {self.number(minute)} 분" if minute else said

    def ordinals(self, text: str) -> str:
        text = MONTH.sub(lambda match: {"6": "유월", "10": "시월"}[match.group(1)], text)
        return COUNTED.sub(lambda match: f"{native(int(match['number']))} {match['counter']}", text)


def native(value: int) -> str:
    """1-99 as said before a counter: 스무 살, 스물한 살."""
    return "스무" if value == 20 else TENS[value // 10] + ONES[value % 10]
