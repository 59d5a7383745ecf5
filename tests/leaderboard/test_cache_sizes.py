"""The sizes of a model's cache, as a run writes them and the site reads them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lukv_bench.bench.models.layers import LayerShape, ModelShape
from lukv_bench.bench.run.plan import Plan
from lukv_bench.bench.run.rows import method_rows
from lukv_bench.db.comparable import Setting
from lukv_bench.db.frames.cache_sizes import read_cache_sizes
from lukv_bench.db.frames.settings import SETTING, read_settings
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

from .conftest import METHODS, PLACES, answer, put_plan

FULL = LayerShape("full", 2, 8, 4)
MODELS: dict[str, Sequence[LayerShape]] = {
    "plain": [FULL, FULL],
    "sliding windows": [
        LayerShape("window", 2, 8, 4, window=33),
        FULL,
        LayerShape("window", 1, 16, 4, window=101),
        LayerShape("borrowed"),
    ],
    "states": [LayerShape("none", n_states=2, state_bytes=1000), FULL],
    "states beside attention": [replace(FULL, n_states=1, state_bytes=600)] * 2,
    "windows and states": [LayerShape("window", 2, 8, 4, window=33), replace(FULL, n_states=1, state_bytes=77)],
}


def held_bytes(layers: Sequence[LayerShape], n_tokens: int, n_kept: int) -> int:
    """Bytes in float32, counted token by token."""
    n_bytes = 0
    for layer in layers:
        seen = n_kept if layer.kind == "full" else n_tokens
        for age in range(seen):
            is_held = layer.window is None or age < layer.window - 1
            n_bytes += 2 * layer.n_kv_heads * layer.head_dim * 4 * is_held
        n_bytes += layer.state_bytes
    return n_bytes


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_measured", [20, 90, 300])
def test_any_length_follows_from_the_answers_to_one(name: str, n_measured: int, tmp_path: Path) -> None:
    layers = MODELS[name]
    config = SimpleNamespace(config=SimpleNamespace(model_type="tiny"))
    loaded: Any = SimpleNamespace(shape=ModelShape.of(layers, 2048), revision="m" * 64, title="tiny", model=config)
    plan = cast(Plan, SimpleNamespace(loaded=loaded, methods=[], sample_sets=[]))
    with Store.open(resolve_url(str(tmp_path / "sizes.db")), create=True) as store:
        store.put(*method_rows(plan))
        run = put_plan(store)
        measured = answer(run, METHODS[0], PLACES[0], 0, 1.0)
        full = held_bytes(layers, n_measured, n_measured)
        store.put_answer(replace(measured, n_context_tokens=n_measured, kv_bytes_full=full))
        (setting,) = (Setting(*row) for row in read_settings(store)[list(SETTING)].itertuples(index=False))
        stored = read_cache_sizes(store, setting)
    assert not isinstance(stored, str), stored
    assert stored.max_positions == 2048
    assert stored.measured_at is None
    for n_tokens in (1, 32, 33, 100, 101, 1000):
        assert stored.sizes.full_bytes(n_tokens) == held_bytes(layers, n_tokens, n_tokens)
        for n_kept in (0, n_tokens // 2):
            fitting = held_bytes(layers, n_tokens, n_kept)
            assert stored.sizes.kept_bytes(n_tokens, n_kept) == fitting
            assert stored.sizes.most_per_head(n_tokens, fitting) == n_kept
            assert stored.sizes.most_per_head(n_tokens, fitting - 1) == n_kept - 1
