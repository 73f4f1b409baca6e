"""Quality models: networks that predict how listeners would rate a recording."""

from valle_data.registry import Table

QUALITY_MODELS = Table(
    "quality model",
    {"dnsmos": "valle_data.quality_models.dnsmos:Dnsmos", "utmos": "valle_data.quality_models.utmos:Utmos"},
    extras={"dnsmos": "speech"},
)
