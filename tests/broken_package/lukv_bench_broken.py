"""Breaks when it is imported."""

raise ImportError("libhapless.so.3: cannot open shared object file")
