"""The static report of a data set: one HTML page and a few recordings beside it; opens from a disk, asks nothing of a network."""
