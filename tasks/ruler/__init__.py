"""RULER: synthetic tasks made to a length (arXiv 2404.06654, NVIDIA/RULER)."""
