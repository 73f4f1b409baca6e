"""What `valle metadata` works out: the merged index, splits, statistics, and the check of everything a data set holds."""
