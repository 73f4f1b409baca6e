"""Speaker encoders: a vector for a voice."""

from valle_data.registry import Table

SPEAKER_ENCODERS = Table(
    "speaker encoder",
    {
        "resemblyzer": "valle_data.speaker_encoders.resemblyzer:Resemblyzer",
        "wavlm": "valle_data.speaker_encoders.wavlm:Wavlm",
        "ecapa": "valle_data.speaker_encoders.ecapa:Ecapa",
    },
    extras={"resemblyzer": "speech", "ecapa": "ecapa"},
)
