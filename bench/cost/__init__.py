"""Measures what a cell costs: alone, in a process of its own, on a device that no other measurement uses."""
