"""Profiles: making, finding, verifying and exporting them."""
