"""Optimizers, each made from the model's parameter groups."""

from valle_data.registry import Table

OPTIMIZERS = Table("optimizer", {"adamw": "valle_model.optimizers.adamw:AdamW"})
