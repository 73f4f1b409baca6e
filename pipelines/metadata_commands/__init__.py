"""Sub-commands of `valle metadata` beside merge, split and check: one file each, with what it computes and how it says it."""
