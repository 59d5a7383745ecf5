"""Contexts that are read in blocks: an independent loop over transformers' own cache keeps and answers the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache, Gemma2Config

from lukv_bench.bench.engine.blocks import BlockPrefill, read_blocks
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.engine.trimming import Trim
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import Evicted, evict_alone
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.methods.schedule import ONE_SHOT, Schedule
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import Protection
from lukv_bench.scorers.keydiff import KeyDiff
from lukv_bench.scorers.tova import TOVA

N_TOKENS, BLOCK, N_QUESTION, N_ANSWER = 100, 16, 5, 8
SINK, WINDOW = 4, 1


def method(allocator: str, scorer: str = "keydiff", ratio: str = "0.8", block: int | None = BLOCK) -> Method:
    schedules = [Schedule(block)]
    budgets = [Budget(ratio=parse_ratio(ratio))]
    (only,) = build_methods([allocator], [scorer], budgets, None, None, baselines=False, schedules=schedules)
    return only


def evicted(loaded: LoadedModel, ids: Sequence[int], one: Method) -> Evicted:
    return evict_alone(loaded, ids, one, 0, len(ids) + N_QUESTION + N_ANSWER)


def answer(loaded: LoadedModel, context: Evicted, question: Sequence[int]) -> list[int]:
    return decode(loaded, context.cache, [question], Stop(N_ANSWER, frozenset())).rows[0].ids


def key_differences(keys: Tensor) -> Tensor:
    """[H, n]: how little each key [H, n, D] points along the mean of all directions."""
    directions = keys.double() / keys.double().norm(dim=-1, keepdim=True)
    anchor = directions.mean(dim=1, keepdim=True)
    return -(directions * anchor).sum(-1) / anchor.norm(dim=-1)


def best(scores: Tensor, n: int) -> Tensor:
    """The n best places of scores [n'], first and last ones before all, ascending."""
    scores = scores.clone()
    scores[:SINK] = scores[len(scores) - WINDOW :] = float("inf")
    return scores.topk(n).indices.sort().values


@torch.inference_mode()
def published_loop(model: Any, ids: Sequence[int], question: Sequence[int], n_kept: int) -> tuple[Tensor, list[int]]:
    """KeyDiff over transformers' own cache: (positions kept [L, H, n_kept], the answer)."""
    cache, positions = DynamicCache(), {}
    for start in range(0, len(ids), BLOCK):
        block = torch.arange(start, min(start + BLOCK, len(ids)))
        model(torch.tensor([ids])[:, block], position_ids=block.unsqueeze(0), past_key_values=cache, use_cache=True)
        for index, layer in enumerate(cache.layers):
            n_heads = layer.keys.shape[1]
            held = torch.cat([positions.get(index, torch.empty(n_heads, 0).long()), block.expand(n_heads, -1)], dim=1)
            if held.shape[1] > n_kept:
                places = torch.stack([best(scores, n_kept) for scores in key_differences(layer.keys[0])])
                index_in_cache = places[None, :, :, None].expand(1, -1, -1, layer.keys.shape[-1])
                layer.keys, layer.values = (each.gather(2, index_in_cache) for each in (layer.keys, layer.values))
                held = held.gather(1, places)
            positions[index] = held
    fed, out, place = torch.tensor([list(question)]), list[int](), len(ids)
    for _ in range(N_ANSWER):
        where = torch.arange(place, place + fed.shape[1]).unsqueeze(0)
        place += fed.shape[1]
        logits = model(fed, position_ids=where, past_key_values=cache, use_cache=True).logits[0, -1]
        out.append(int(logits.argmax()))
        fed = torch.tensor([out[-1:]])
    return torch.stack([positions[index] for index in range(len(positions))]), out


def test_keydiff_in_blocks_is_the_published_loop_over_transformers_own_cache(
    tiny: Any, some_ids: Callable[..., list[int]]
) -> None:
    ids, question = some_ids(N_TOKENS, 0), some_ids(N_QUESTION, 1)
    ours = evicted(tiny.loaded, ids, method("uniform", ratio="0.8"))
    positions, expected = published_loop(tiny.plain, ids, question, n_kept=20)
    for kept, theirs in zip(ours.selection.kept, positions, strict=True):
        assert torch.equal(kept.positions.view_as(theirs), theirs)
    assert answer(tiny.loaded, ours, question) == expected
    assert ours.full.kv_bytes == 2 * positions[..., :1].numel() * N_TOKENS * tiny.loaded.shape.head_dim * 4
    one_shot = evicted(tiny.loaded, ids, method("uniform", block=None))
    assert ours.full.kv_bytes == one_shot.full.kv_bytes
    assert any(
        not torch.equal(a.mask, b.mask) for a, b in zip(ours.selection.kept, one_shot.selection.kept, strict=True)
    )


@dataclass
class Hidden:
    """Plain attention in which no head sees what it has evicted.

    Attributes:
        seen: bool [L, H, T, T], the keys that each query may see.
        keys: By layer, of the latest pass.
        queries: By layer, of the latest pass.
    """

    seen: Tensor
    keys: dict[int, Tensor] = field(default_factory=dict)
    queries: dict[int, Tensor] = field(default_factory=dict)

    def attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, scaling: float, **__: Any
    ) -> tuple[Tensor, None]:
        self.keys[module.layer_idx], self.queries[module.layer_idx] = key[0], query[0]
        (n_heads, n_tokens, dim), group = key.shape[1:], query.shape[1] // key.shape[1]
        logits = query[0].view(n_heads, group, n_tokens, dim).double() @ key[0].double().mT.unsqueeze(1) * scaling
        seen = self.seen[module.layer_idx, :, :n_tokens, :n_tokens].unsqueeze(1)
        weights = logits.masked_fill(~seen, float("-inf")).softmax(-1)
        out = weights @ value[0].double().unsqueeze(1)
        return out.flatten(0, 1).transpose(0, 1).unsqueeze(0).to(query.dtype), None


def one_vote(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """[n]: what the last query [G, N, D] of a block gives each key [n, D], over its group."""
    return (queries[:, -1].double() @ keys.double().T * scale).softmax(-1).mean(0)


@torch.inference_mode()
def kept_of_each_head(model: Any, attending_by: Any, ids: Sequence[int], counts: Tensor, *, votes: bool) -> list[Any]:
    """[L][H] positions, by as many passes without a cache as there are blocks: brute force."""
    n_layers, n_heads = counts.shape
    held = [[torch.empty(0).long() for _ in range(n_heads)] for _ in range(n_layers)]
    hidden = Hidden(torch.zeros(n_layers, n_heads, len(ids), len(ids), dtype=torch.bool))
    AttentionInterface.register("tests_blocks", hidden.attend)
    scale = model.config.head_dim**-0.5
    for start in range(0, len(ids), BLOCK):
        block = torch.arange(start, min(start + BLOCK, len(ids)))
        for layer in range(n_layers):
            for head in range(n_heads):
                for query in block:
                    hidden.seen[layer, head, query, held[layer][head]] = True
                    hidden.seen[layer, head, query, start : query + 1] = True
        with attending_by(model, "tests_blocks"):
            model(torch.tensor([ids[: int(block[-1]) + 1]]), use_cache=False)
        for layer in range(n_layers):
            queries = hidden.queries[layer].unflatten(0, (n_heads, -1))
            places = [torch.cat([positions, block]) for positions in held[layer]]
            heads = [hidden.keys[layer][head, positions] for head, positions in enumerate(places)]
            if votes:
                of_each = [one_vote(query, keys, scale) for query, keys in zip(queries, heads, strict=True)]
            else:
                of_each = [key_differences(keys[None])[0] for keys in heads]
            if votes and bool((counts[layer] == counts[layer, 0]).all()):  # heads that are scored together vote so
                of_each = [torch.stack(of_each).mean(0)] * n_heads
            for head, (positions, scores) in enumerate(zip(places, of_each, strict=True)):
                n = min(int(counts[layer, head]), len(positions))
                held[layer][head] = positions[best(scores, n)] if n < len(positions) else positions
    return held


@pytest.mark.parametrize("scorer", [KeyDiff(), TOVA()])
def test_heads_that_keep_different_numbers_are_scored_one_by_one(
    llama: Any, some_ids: Callable[..., list[int]], attending_by: Any, scorer: Any
) -> None:
    ids, shape = some_ids(70, 3), llama.loaded.shape
    counts = torch.tensor([[5, 41], [70, 12], [23, 23]])
    trim = Trim(scorer, lambda: counts.unsqueeze(1), Protection(SINK, WINDOW), 29)
    record = read_blocks(BlockPrefill(llama.loaded, tuple(ids), len(ids), BLOCK, trim))
    expected = kept_of_each_head(llama.plain, attending_by, ids, counts, votes=isinstance(scorer, TOVA))
    for layer in range(shape.n_layers):
        ours = record.kept[layer].positions.split(record.kept[layer].counts[0].tolist())
        for mine, theirs in zip(ours, expected[layer], strict=True):
            assert mine.tolist() == theirs.tolist()


SCORERS = ["keydiff", "knorm", "random", "tova", "snapkv:window=8", "streaming_llm", "critical:of=tova"]


@pytest.mark.parametrize("scorer", SCORERS)
def test_one_block_is_one_shot_and_many_keep_the_budget(
    llama: Any, some_ids: Callable[..., list[int]], scorer: str
) -> None:
    ids = some_ids(N_TOKENS, 5)
    one_shot = evicted(llama.loaded, ids, method("pyramidkv", scorer, block=None))
    whole = evicted(llama.loaded, ids, method("pyramidkv", scorer, block=N_TOKENS))
    for ours, theirs in zip(whole.selection.kept, one_shot.selection.kept, strict=True):
        assert torch.equal(ours.mask, theirs.mask)
    many = evicted(llama.loaded, ids, method("pyramidkv", scorer))
    assert many.selection.keep_counts == one_shot.selection.keep_counts
    assert many.cache.kv_bytes_by_row() == one_shot.cache.kv_bytes_by_row()
    assert all(bool(kept.mask[..., :SINK].all()) and bool(kept.mask[..., -1].all()) for kept in many.selection.kept)


@pytest.fixture(scope="module")
def sliding(build: Callable[..., LoadedModel], sizes: dict[str, Any]) -> LoadedModel:
    """Layers with a sliding window of 9 tokens between layers that attend to everything, and softcaps."""
    of = {**sizes, "hidden_size": 48, "head_dim": 20, "num_attention_heads": 6, "num_key_value_heads": 2}
    return prove_attention(build(Gemma2Config(**of, sliding_window=9), "eager"))


@pytest.mark.parametrize("name", ["llama", "sliding"])
@pytest.mark.parametrize("allocator", ["full", "uniform"])
def test_blocks_that_evict_nothing_answer_as_the_full_cache(
    request: pytest.FixtureRequest, some_ids: Callable[..., list[int]], forced: Any, name: str, allocator: str
) -> None:
    model = request.getfixturevalue(name)
    loaded = model.loaded if name == "llama" else model
    assert bool(loaded.shape.layers) == (name == "sliding")
    ids, question = some_ids(40, 7), some_ids(N_QUESTION, 8)
    full = evicted(loaded, ids, method("full", block=None))
    logits = []
    for block in (None, 3, BLOCK) if allocator == "uniform" else (None, 7, 40):
        one = full if block is None else evicted(loaded, ids, method(allocator, ratio="0", block=block))
        chosen = forced([[token] for token in some_ids(N_ANSWER, 9)])
        decode(loaded, one.cache, [question], Stop(N_ANSWER, frozenset()), chosen)
        logits.append(chosen.seen)
        assert one.full.kv_bytes == full.full.kv_bytes
        assert one.cache.kv_bytes_by_row() == full.cache.kv_bytes_by_row()
    for ours in logits[1:]:
        assert torch.allclose(ours, logits[0], atol=2e-4 * float(logits[0].std()))


def test_windows_are_cut_after_every_block_while_the_other_layers_are_evicted(
    sliding: LoadedModel, some_ids: Callable[..., list[int]]
) -> None:
    ids, question = some_ids(N_TOKENS, 7), some_ids(N_QUESTION, 8)
    ours = evicted(sliding, ids, method("uniform"))
    one_shot = evicted(sliding, ids, method("uniform", block=None))
    assert ours.cache.kv_bytes_by_row() == one_shot.cache.kv_bytes_by_row()
    assert ours.full.kv_bytes == one_shot.full.kv_bytes
    assert len(answer(sliding, ours, question)) == N_ANSWER


def test_a_label_names_the_schedule_and_the_full_cache_has_one(llama: Any) -> None:
    budgets = [Budget(ratio=parse_ratio("0.8"))]
    both = build_methods(["uniform"], ["keydiff"], budgets, None, None, True, [Schedule(128), ONE_SHOT])
    names = ["full", "uniform x keydiff @ 0.8, block:128", "uniform x keydiff @ 0.8"]
    assert [one.label for one in both] == names
    blocks = build_methods(["uniform"], ["keydiff"], budgets, None, None, True, [Schedule(128)])
    assert [one.label for one in blocks] == names[:2]
    asked = build_methods(["full", "uniform"], ["keydiff"], budgets, None, None, False, [Schedule(128)])
    assert [one.label for one in asked] == ["full, block:128", names[1]]
