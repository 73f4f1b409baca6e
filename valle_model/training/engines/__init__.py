"""Engines: who takes an optimizer step."""

from valle_data.registry import Table

ENGINES = Table("engine", {"local": "valle_model.training.engines.local:LocalEngine"})
