"""Allocators: each decides how many tokens every (layer, KV head) keeps."""
