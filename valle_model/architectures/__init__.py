"""Architectures: the backbone between embedding and output heads."""

from valle_data.registry import Table

ARCHITECTURES = Table("architecture", {"llama": "valle_model.architectures.llama:Llama"})
