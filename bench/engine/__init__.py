"""The engine: prefill a context once, evict, decode. It adapts transformers' attention and caches."""
