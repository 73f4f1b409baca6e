"""Corpora: recordings and texts as they lie on a disk -> utterances."""

from valle_data.registry import Table

CORPORA = Table("corpus", {"folder": "valle_data.corpora.folder:FolderCorpus"})
