"""Files of the user and of the cache: their places and kinds, reading and writing."""
