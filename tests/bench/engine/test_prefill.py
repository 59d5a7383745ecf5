"""What prefill keeps and what it shows to a scorer, against transformers' own forward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.errors import WriteError
from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.keydiff import KeyDiff

from .looking import Looking

N_TOKENS = 41


@dataclass
class Watched:
    """Per layer, what transformers' own forward pass computed."""

    queries: list[Tensor]
    hidden_states: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]


@torch.inference_mode()
def watch(plain: Any, ids: list[int], attending_by: Callable[[Any, str], Any]) -> Watched:
    queries: dict[int, Tensor] = {}
    hidden: dict[int, Tensor] = {}

    def spy(module: Any, query: Tensor, *args: Any, **kwargs: Any) -> Any:
        queries[module.layer_idx] = query.clone()
        return sdpa_attention_forward(module, query, *args, **kwargs)

    def keep_input(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        hidden[module.layer_idx] = kwargs["hidden_states"].clone()

    AttentionInterface.register("tests_spy", spy)
    layers = plain.model.layers
    hooks = [layer.self_attn.register_forward_pre_hook(keep_input, with_kwargs=True) for layer in layers]
    cache = DynamicCache()
    try:
        with attending_by(plain, "tests_spy"):
            plain(torch.tensor([ids]), past_key_values=cache)
    finally:
        for hook in hooks:
            hook.remove()
    order = range(len(layers))
    return Watched(
        [queries[i] for i in order],
        [hidden[i] for i in order],
        [layer.keys for layer in cache.layers],
        [layer.values for layer in cache.layers],
    )


def assert_close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_scorers_see_exactly_what_they_declared(
    tiny: Any, some_ids: Callable[..., list[int]], attending_by: Callable[[Any, str], Any]
) -> None:
    scorers = {
        "keys alone": Looking(Reads()),
        "last 5 queries": Looking(Reads(queries=5)),
        "more queries than tokens": Looking(Reads(queries=100)),
        "all queries": Looking(Reads(queries="all")),
        "hidden states": Looking(Reads(hidden_states=True)),
        "everything": Looking(Reads(queries="all", hidden_states=True)),
    }
    ids = some_ids(N_TOKENS, 0)
    prefill(tiny.loaded, ids, scorers)
    expected = watch(tiny.plain, ids, attending_by)
    for name, scorer in scorers.items():
        assert [view.layer for view in scorer.views] == list(range(tiny.loaded.shape.n_layers)), name
        for view in scorer.views:
            assert_close(view.keys, expected.keys[view.layer])
            assert_close(view.values, expected.values[view.layer])
            wanted = scorer.reads.queries
            if wanted == 0:
                assert view.queries is None, name
            else:
                n = N_TOKENS if wanted == "all" else min(wanted, N_TOKENS)
                assert_close(view.queries, expected.queries[view.layer][:, :, N_TOKENS - n :])
            if scorer.reads.hidden_states:
                assert_close(view.hidden_states, expected.hidden_states[view.layer])
            else:
                assert view.hidden_states is None, name


def test_context_is_the_models_own_cache_and_scores_are_per_layer_tables(
    tiny: Any, some_ids: Callable[..., list[int]], attending_by: Callable[[Any, str], Any]
) -> None:
    ids = some_ids(N_TOKENS, 1)
    context = prefill(tiny.loaded, ids, {"keydiff": KeyDiff(), "first": Looking(Reads())})
    expected = watch(tiny.plain, ids, attending_by)
    shape = tiny.loaded.shape
    assert context.n_tokens == N_TOKENS
    assert context.kv_bytes == shape.n_layers * shape.n_kv_heads * N_TOKENS * 2 * shape.head_dim * 4
    for layer in range(shape.n_layers):
        assert_close(context.keys[layer], expected.keys[layer])
        assert_close(context.values[layer], expected.values[layer])
        view = LayerView(layer, expected.keys[layer], expected.values[layer])
        assert_close(context.scores["keydiff"][layer], KeyDiff().score(view))
    assert context.scores["keydiff"].shape == (shape.n_layers, 1, shape.n_kv_heads, N_TOKENS)
    assert context.scores["keydiff"].dtype == torch.float32
    assert_close(context.scores["first"], torch.stack(expected.keys)[..., 0])
    assert context.prefill_s > 0


def test_observers_see_every_layer_once_in_order(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    seen: list[tuple[Any, ...]] = []
    context = prefill(llama.loaded, some_ids(9, 2), {}, observers=[lambda *shown: seen.append(shown)])
    modules = llama.loaded.attention_modules
    assert [(index, module) for index, module, *_ in seen] == list(enumerate(modules))
    for index, module, query, keys, values, form in seen:
        assert (form.scale, form.options) == (module.scaling, ())
        assert query.shape == (1, 6, 9, 20)
        assert torch.equal(keys, context.keys[index])
        assert torch.equal(values, context.values[index])


def test_nothing_stays_hooked_to_the_model(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    prefill(llama.loaded, some_ids(9, 3), {"hidden": Looking(Reads(hidden_states=True))})
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in llama.loaded.model.modules())


def raising(layer: LayerView) -> Tensor:
    if layer.layer == 1:
        raise ZeroDivisionError("out of ideas")
    return layer.keys[..., 0]


def with_one(value: float) -> Callable[[LayerView], Tensor]:
    def score(layer: LayerView) -> Tensor:
        scores = layer.keys[..., 0].clone()
        scores[0, -1, 3] = value if layer.layer == 2 else 0.0
        return scores

    return score


BROKEN: dict[str, tuple[Callable[[LayerView], Tensor], str]] = {
    "raises in its second layer": (raising, "out of ideas"),
    "NaN in the last layer": (with_one(float("nan")), "1 scores"),
    "infinite in the last layer": (with_one(float("-inf")), "1 scores"),
    "one score a token too few": (lambda layer: layer.keys[:, :, 1:, 0], "shape"),
    "no sequence axis": (lambda layer: layer.keys[0, :, :, 0], "shape"),
    "double precision": (lambda layer: layer.keys[..., 0].double(), "float64"),
}


@dataclass(frozen=True)
class Broken(Looking):
    """A stranger's scorer that breaks its contract."""

    how: Callable[[LayerView], Tensor] = raising

    def score(self, layer: LayerView) -> Tensor:
        return self.how(layer)


@pytest.mark.parametrize(("how", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_scorer_fails_alone_and_says_why(
    llama: Any, some_ids: Callable[..., list[int]], how: Callable[[LayerView], Tensor], said: str
) -> None:
    ids, good = some_ids(9, 4), KeyDiff()
    expected = prefill(llama.loaded, ids, {"keydiff": good}).table("keydiff")
    broken = Broken(Reads(hidden_states=True), how=how)
    context = prefill(llama.loaded, ids, {"broken": broken, "keydiff": good})
    assert torch.equal(context.table("keydiff"), expected)
    assert set(context.failures) == {"broken"}
    with pytest.raises(Exception, match=said):
        context.table("broken")
    assert not any(module._forward_pre_hooks for module in llama.loaded.model.modules())


def test_a_context_of_one_token_is_taken_in(tiny: Any, attending_by: Callable[[Any, str], Any]) -> None:
    context = prefill(tiny.loaded, [7], {"keydiff": KeyDiff()})
    expected = watch(tiny.plain, [7], attending_by)
    assert context.n_tokens == 1
    for layer, keys in enumerate(context.keys):
        assert_close(keys, expected.keys[layer])


@dataclass(frozen=True)
class Meddling:
    """Centres the keys where they lie."""

    source: ClassVar[str] = "a test"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(0, 0)

    def score(self, layer: LayerView) -> Tensor:
        layer.keys.sub_(layer.keys.mean(dim=2, keepdim=True))
        return layer.keys.norm(dim=-1)


def test_a_scorer_that_writes_into_the_cache_fails_alone_and_spoils_it_for_nobody(
    llama: Any, some_ids: Callable[..., list[int]]
) -> None:
    ids = some_ids(20, 0)
    alone = prefill(llama.loaded, ids, {"keydiff": KeyDiff()})
    beside = prefill(llama.loaded, ids, {"meddling": Meddling(), "keydiff": KeyDiff()})
    with pytest.raises(WriteError, match="changed the keys of layer 0"):
        beside.table("meddling")
    assert torch.equal(beside.table("keydiff"), alone.table("keydiff"))
    assert all(torch.equal(a, b) for a, b in zip(beside.keys, alone.keys, strict=True))
