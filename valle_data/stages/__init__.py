"""Stages: the steps an utterance goes through on its way into a shard."""

from valle_data.registry import Table

STAGES = Table(
    "stage",
    {
        "decode": "valle_data.stages.decode:DecodeStage",
        "phonemize": "valle_data.stages.phonemize:PhonemizeStage",
        "quantize": "valle_data.stages.quantize:QuantizeStage",
    },
)
