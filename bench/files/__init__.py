"""Files of the user and of the cache: where they lie, what kind they are, whether they can be read or written."""
