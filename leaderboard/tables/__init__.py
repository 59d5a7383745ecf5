"""The tables of the pages: pure functions that give a frame to show and to save."""
