"""A run: what was asked, checked and planned before any work; then sample by sample, cell by cell."""
