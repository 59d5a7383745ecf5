"""Keeps a plugin's code from changing anything but its own answers."""
