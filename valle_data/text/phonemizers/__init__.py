"""Phonemizers: normalised text -> phones."""

from valle_data.registry import Table

PHONEMIZERS = Table(
    "phonemizer",
    {
        "espeak": "valle_data.text.phonemizers.espeak:EspeakPhonemizer",
        "characters": "valle_data.text.phonemizers.characters:CharacterPhonemizer",
        "japanese": "valle_data.text.phonemizers.japanese:JapanesePhonemizer",
        "mandarin": "valle_data.text.phonemizers.mandarin:MandarinPhonemizer",
        "korean": "valle_data.text.phonemizers.korean:KoreanPhonemizer",
        "multilingual": "valle_data.text.phonemizers.multilingual:MultilingualPhonemizer",
    },
    extras={"japanese": "ja", "mandarin": "zh"},
)
