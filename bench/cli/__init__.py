"""The command line. Each command is a file, and imports heavy modules when it runs, so that help is quick."""

from .app import main

__all__ = ["main"]
