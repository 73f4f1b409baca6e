"""Parts of a prepared data set: shards, their index, the commit records that make them exist, and checks of all three."""

from valle_data.registry import Table

SHARDS = Table("shard format", {"tar": "valle_data.shards.tar:TarShard"})
