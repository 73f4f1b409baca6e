"""Segmenters: ways to find the utterances of a recording."""

from valle_data.registry import Table

SEGMENTERS = Table(
    "segmenter",
    {
        "silero": "valle_data.segmenters.silero:SileroSegmenter",
        "energy": "valle_data.segmenters.energy:EnergySegmenter",
        "given": "valle_data.segmenters.given:GivenSegmenter",
        "aligned": "valle_data.segmenters.aligned:AlignedSegmenter",
    },
    extras={"silero": "speech", "aligned": "speech"},
)
