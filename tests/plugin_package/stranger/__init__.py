"""A stranger's plugins for lukv-bench."""
