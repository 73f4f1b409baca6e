"""Parts of a prepared data set: shards, their index, the commit records that make them exist, and checks of all three."""

from valle_data.registry import Table

SHARDS = Table("shard format", {"tar": "valle_data.shards.tar:TarShard", "hdf5": "valle_data.shards.hdf5:Hdf5Shard"}, {"hdf5": "hdf5"})

EXTENSIONS = {"tar": "tar", "h5": "hdf5"}
"""What a shard's file name ends in -> its format; known without importing any."""
