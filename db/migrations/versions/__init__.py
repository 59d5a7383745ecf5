"""One file a revision, `v0001_what_it_does.py`: four digits that only grow, read as the revision's name."""
