"""Stages: the steps an utterance goes through on its way into a shard, in the order in which they run."""

from valle_data.registry import Table

STAGES = Table(
    "stage",
    {
        "decode": "valle_data.stages.decode:DecodeStage",
        "phonemize": "valle_data.stages.phonemize:PhonemizeStage",
        "quantize": "valle_data.stages.quantize:QuantizeStage",
    },
)
ALWAYS = ("decode", "phonemize", "quantize")
"""On unless a configuration says otherwise; the others run where they are asked for."""
