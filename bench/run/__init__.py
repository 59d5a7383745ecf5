"""A run: planned and checked before any work, then carried out sample by sample."""
