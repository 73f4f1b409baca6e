"""Where a data set lies: a local folder, or a prefix of an object store. `valle_data.files` picks the store by the path."""
