"""What corpora are read with: folders, texts, tables, tar archives and long JSON files, a piece at a time."""
