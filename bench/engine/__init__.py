"""The engine: prefill a context once, evict, decode what follows. The one room that speaks to transformers."""
