"""Compiles every kernel for the cards that people own, without a card: `python -m lukv_bench.kernels.aot`."""
