"""The command line. Each command is a file; heavy imports happen inside commands, so that help is quick."""

from .app import main

__all__ = ["main"]
