"""A user's script, which `make check` hands to mypy: it fails where a type is lost or a mistake is not seen.

`mypy --strict` sees the package's types through `py.typed`. An ignored line that holds no error is an error.
"""

from typing import assert_type

import pandas as pd

import lukv_bench as lb

cache = lb.load("smollm2-135m").evict("a text", allocator="lukv", scorer="keydiff", ratio=0.8)
assert_type(cache.generate("a question about the text"), str)
assert_type(cache.kv_bytes, int)
assert_type(lb.run(allocator=["uniform", "adakv"], ratio=[0.5, 0.8], limit=2), pd.DataFrame)
lb.load("smollm2-135m").evict(3)  # type: ignore[arg-type]  # a text is wanted
lb.load("smollm2-135m").evict("a text", alocator="lukv")  # type: ignore[call-arg]  # misspelt
