"""Neural codecs: waveform <-> codes `[Q, T]`."""

from valle_data.registry import Table

CODECS = Table(
    "codec",
    {"mini": "valle_data.codecs.mini:MiniCodec", "encodec": "valle_data.codecs.encodec:Encodec"},
    extras={"encodec": "encodec"},
)
