"""Phonemizers: normalised text -> phones."""

from valle_data.registry import Table

PHONEMIZERS = Table(
    "phonemizer",
    {
        "espeak": "valle_data.text.phonemizers.espeak:EspeakPhonemizer",
        "characters": "valle_data.text.phonemizers.characters:CharacterPhonemizer",
    },
)
