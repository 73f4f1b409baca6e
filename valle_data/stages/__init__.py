"""Stages: the steps an utterance goes through on its way into a shard, in the order in which they run."""

from valle_data.registry import Table

STAGES = Table(
    "stage",
    {
        "decode": "valle_data.stages.decode:DecodeStage",
        "segment": "valle_data.stages.segment:SegmentStage",
        "quality": "valle_data.stages.quality:QualityStage",
        "fingerprint": "valle_data.stages.fingerprint:FingerprintStage",
        "transcribe": "valle_data.stages.transcribe:TranscribeStage",
        "language": "valle_data.stages.language:LanguageStage",
        "speaker": "valle_data.stages.speaker:SpeakerStage",
        "loudness": "valle_data.stages.loudness:LoudnessStage",
        "phonemize": "valle_data.stages.phonemize:PhonemizeStage",
        "quantize": "valle_data.stages.quantize:QuantizeStage",
    },
    {"transcribe": "speech", "language": "language"},
)
ALWAYS = ("decode", "phonemize", "quantize")
"""On unless a configuration says otherwise; the others run where they are asked for."""
