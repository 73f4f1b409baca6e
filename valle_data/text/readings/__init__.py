"""Readings: what a language says for its dates, times, money, ordinals, units and abbreviations, by the language's subtag."""

from valle_data.registry import Table

READINGS = Table(
    "reading",
    {
        "en": "valle_data.text.readings.en:English",
        "de": "valle_data.text.readings.de:German",
        "fr": "valle_data.text.readings.fr:French",
        "es": "valle_data.text.readings.es:Spanish",
        "it": "valle_data.text.readings.it:Italian",
        "ja": "valle_data.text.readings.ja:Japanese",
        "zh": "valle_data.text.readings.zh:Chinese",
        "cmn": "valle_data.text.readings.zh:Chinese",
        "ko": "valle_data.text.readings.ko:Korean",
    },
)
