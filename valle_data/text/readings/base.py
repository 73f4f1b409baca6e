"""What a reading owes: the plain written forms of one language -> words. What it does not know it leaves as it is."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, NamedTuple

from valle_data.text.numbers import DIGIT, NumberWords, find_number_words, spell_number

YEAR_FIRST = re.compile(r"(?<![\d./-])(?P<year>\d{4})(?P<mark>[-/])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})(?![\d/-])")
DAY_FIRST = re.compile(r"(?<![\d./-])(?P<day>\d{1,2})(?P<mark>[./])(?P<month>\d{1,2})(?P=mark)(?P<year>\d{4})(?![\d/])")
MONTH_FIRST = re.compile(r"(?<![\d./-])(?P<month>\d{1,2})(?P<mark>/)(?P<day>\d{1,2})/(?P<year>\d{4})(?![\d/])")
CLOCK = r"(?<![\d:：.,])(?P<hour>[01]?\d|2[0-3])[:：](?P<minute>[0-5]\d)(?![\d:：])"
SIGNS = "$€£¥₩"


class Currency(NamedTuple):
    """Names of a unit and its hundredth; `hundredth` "" where there is none. `feminine` is the gender of the unit."""

    one: str
    many: str
    hundredth_one: str = ""
    hundredths: str = ""
    feminine: bool = False


class Unit(NamedTuple):
    """Names of what is measured."""

    one: str
    many: str


class Reading(ABC):
    """One language. `region` is the lower-cased region of the tag, such as `gb`, or empty."""

    language: ClassVar[str]
    abbreviations: ClassVar[Mapping[str, str]] = {}
    patterns: ClassVar[tuple[tuple[re.Pattern[str], str], ...]] = ()
    """Further rewritings that hold only in a place, such as `No.` before a digit."""
    currencies: ClassVar[Mapping[str, Currency]] = {}
    units: ClassVar[Mapping[str, Unit]] = {}
    symbols: ClassVar[Mapping[str, str]] = {}
    clock: ClassVar[re.Pattern[str]] = re.compile(CLOCK)

    def __init__(self, region: str = "") -> None:
        self.region = region

    def read(self, text: str) -> str:
        """Text with its plain forms in words; whole and decimal numbers that stand alone are left for `speak_numbers`."""
        text = self._abbreviation.sub(self._say_abbreviation, text)
        for pattern, words in self.patterns:
            text = pattern.sub(words, text)
        if DIGIT.search(text):
            for pattern in self.date_patterns():
                text = pattern.sub(self._say_date, text)
            text = self.clock.sub(self._say_clock, text)
            text = self._money_before.sub(self._say_money, self._money_after.sub(self._say_money, text))
            text = self._measure.sub(self._say_measure, text)
            text = self.ordinals(text)
        for symbol, words in self.symbols.items():
            text = text.replace(symbol, f" {words} ")
        return text

    def date_patterns(self) -> tuple[re.Pattern[str], ...]:
        return YEAR_FIRST, DAY_FIRST

    @abstractmethod
    def date(self, year: int, month: int, day: int) -> str: ...

    @abstractmethod
    def time(self, hour: int, minute: int) -> str: ...

    def ordinals(self, text: str) -> str:
        """Text with its ordinals in words."""
        return text

    def counted(self, value: int, feminine: bool) -> str:
        """A number in front of what is counted."""
        return self.number(value)

    def money(self, units: int, hundredths: int, currency: Currency) -> str:
        said = f"{self.counted(units, currency.feminine)} {currency.one if units == 1 else currency.many}"
        if not hundredths:
            return said
        return f"{said} {self.counted(hundredths, False)} {currency.hundredth_one if hundredths == 1 else currency.hundredths}"

    def measure(self, number: str, unit: Unit) -> str:
        """`number` is as written."""
        return f"{number} {unit.one if number == '1' else unit.many}"

    def number(self, value: int, kind: str = "cardinal") -> str:
        return spell_number(value, self._words.converter, kind)

    @cached_property
    def _words(self) -> NumberWords:
        words = find_number_words(self.language)
        assert words is not None, "every reading has its numbers"
        return words

    @cached_property
    def _written(self) -> str:
        """A written number: `whole`, perhaps `part`."""
        mark, grouping = (".", ",") if self._words.mark == "." else (",", "[.\u00a0\u202f]")
        return rf"(?P<whole>\d{{1,3}}(?:{grouping}\d{{3}})+|\d+)(?:{re.escape(mark)}(?P<part>\d+))?"

    @cached_property
    def _money_before(self) -> re.Pattern[str]:
        return re.compile(rf"(?P<sign>[{SIGNS}])\s?{self._written}(?![\d.,]*\d)")

    @cached_property
    def _money_after(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w.,$€£¥₩]){self._written}\s?(?P<sign>[{SIGNS}])(?!\s?\d)")

    @cached_property
    def _measure(self) -> re.Pattern[str]:
        units = "|".join(re.escape(unit) for unit in sorted(self.units, key=len, reverse=True)) or "(?!)"
        return re.compile(rf"(?<![\w.,]){self._written}\s?(?P<unit>{units})(?![A-Za-z/])")

    @cached_property
    def _abbreviation(self) -> re.Pattern[str]:
        known = "|".join(re.escape(word) for word in sorted(self.abbreviations, key=len, reverse=True)) or "(?!)"
        return re.compile(rf"(?<![\w.])(?:{known})(?!\w)")

    def _say_abbreviation(self, match: re.Match[str]) -> str:
        """The words; the dot of an abbreviation that ends the text also ended the sentence."""
        closes = match.group().endswith(".") and not match.string[match.end() :].strip()
        return self.abbreviations[match.group()] + ("." if closes else "")

    def _say_date(self, match: re.Match[str]) -> str:
        year, month, day = int(match["year"]), int(match["month"]), int(match["day"])
        return self.date(year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 and year else match.group()

    def _say_clock(self, match: re.Match[str]) -> str:
        return self.time(int(match["hour"]), int(match["minute"]))

    def _say_money(self, match: re.Match[str]) -> str:
        currency = self.currencies.get(match["sign"])
        whole = "".join(letter for letter in match["whole"] if letter.isdecimal())
        part = match["part"] or ""
        if currency is None or len(whole) > 12:
            return match.group()
        if part and (len(part) != 2 or not currency.hundredth_one):
            return f"{match['whole']}{self._words.mark}{part} {currency.many}"
        return self.money(int(whole), int(part or 0), currency)

    def _say_measure(self, match: re.Match[str]) -> str:
        unit = self.units[match["unit"]]
        number = match["whole"] + (f"{self._words.mark}{match['part']}" if match["part"] else "")
        return self.measure(number, unit)
