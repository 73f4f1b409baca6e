"""Neural codecs: waveform <-> codes `[Q, T]`."""

from valle_data.registry import Table

CODECS = Table(
    "codec",
    {
        "mini": "valle_data.codecs.mini:MiniCodec",
        "encodec": "valle_data.codecs.encodec:Encodec",
        "dac": "valle_data.codecs.dac:Dac",
        "vocos": "valle_data.codecs.vocos:VocosCodec",
        "mimi": "valle_data.codecs.mimi:Mimi",
    },
    extras={"encodec": "encodec", "dac": "dac", "vocos": "vocos"},
)
