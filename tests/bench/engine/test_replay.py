"""KVzip's replay, against the attention that plain transformers gives in float64, part by part."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from lukv_bench import UserError
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.replay import FIRST, LATER, parts_of, read_replay
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone, read_context, select_kept
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import LayerView
from lukv_bench.scorers.kvzip import KVzip

from ...tiny_model import make_model

L, HQ, H, T = 2, 6, 2, 90
TEXT = "The keeper lit the lamp at nine, and wrote the hour down. " * 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"num_attention_heads": HQ, "num_key_value_heads": H, "head_dim": 16, "hidden_size": 96}
    return make_model(tmp_path_factory.mktemp("models") / "grouped", initializer_range=0.3, **sizes)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return ready_model(str(folder), torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def ids(loaded: LoadedModel) -> list[int]:
    """A context in the chat template, cut before its end."""
    turn = [{"role": "user", "content": TEXT}]
    text = loaded.tokenizer.apply_chat_template(turn, tokenize=False) if loaded.tokenizer.chat_template else TEXT
    return list(loaded.tokenizer(text, add_special_tokens=False)["input_ids"][:T])


@torch.no_grad()
def expected(folder: Path, ids: Sequence[int], requests: Sequence[tuple[int, int, Sequence[int]]]) -> Tensor:
    """float64 [L, H, T]: the largest weight over the rows of each part's replay, with a softmax over the first four
    tokens, the part and the replay alone."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    largest = torch.zeros(L, H, len(ids), dtype=torch.float64)
    for start, end, fed in requests:
        attentions = model(input_ids=torch.tensor([[*ids, *fed]]), output_attentions=True).attentions
        seen = sorted({*range(min(4, start)), *range(start, end), *range(len(ids), len(ids) + len(fed))})
        for index, weights in enumerate(attentions):
            rows = weights[0, :, len(ids) :][..., seen]
            rows = rows / rows.sum(dim=-1, keepdim=True)
            own = rows[..., [seen.index(j) for j in range(start, end)]]
            largest[index, :, start:end] = own.amax(dim=1).view(H, HQ // H, -1).amax(dim=1)
    return largest


@pytest.mark.parametrize("chunk", [2048, 25])
def test_every_token_gets_the_largest_attention_of_the_rows_that_repeat_its_part(
    folder: Path, loaded: LoadedModel, ids: list[int], chunk: int
) -> None:
    context = prefill(loaded, ids, {}, n_sequence=len(ids) + 20)
    got = torch.cat(read_replay(loaded, context, ids, chunk)).double()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    requests = [(part.start, part.end, part.fed) for part in parts_of(tokenizer, ids, chunk)]
    torch.testing.assert_close(got, expected(folder, ids, requests), atol=5e-5, rtol=1e-3)


def test_a_part_is_requested_by_the_end_of_the_one_before_it(loaded: LoadedModel, ids: list[int]) -> None:
    parts = list(parts_of(loaded.tokenizer, ids, 30))
    assert [(part.start, part.end) for part in parts][-1][1] == T
    assert all(before.end == after.start for before, after in pairwise(parts))
    first, second = (loaded.tokenizer.decode(part.fed) for part in parts[:2])
    assert FIRST.strip() in first
    assert LATER.strip() in second
    for part in parts:
        assert list(part.fed[part.start - part.end :]) == ids[part.start : part.end]
    assert f"{LATER}{loaded.tokenizer.decode(ids[parts[1].start - 8 : parts[1].start])}" in second


def method(allocator: str, scorer: str) -> Method:
    (only,) = build_methods([allocator], [scorer], [Budget(ratio=parse_ratio("0.6"))], None, None, baselines=False)
    return only


@pytest.mark.parametrize("allocator", ["global", "uniform"])
def test_alone_and_beside_others_it_keeps_the_same(loaded: LoadedModel, ids: list[int], allocator: str) -> None:
    zipped, other = method(allocator, "kvzip"), method("adakv", "keydiff")
    alone = evict_alone(loaded, ids, zipped, 0, len(ids) + 20)
    context = read_context(loaded, ids, [zipped, other], 0, len(ids) + 20)
    held = select_kept(loaded, zipped, context, 0)
    assert held.keep_counts == alone.selection.keep_counts
    for ours, theirs in zip(alone.selection.kept, held.kept, strict=True):
        assert torch.equal(ours.mask, theirs.mask)
    beside = evict_alone(loaded, ids, other, 0, len(ids) + 20).selection
    assert select_kept(loaded, other, context, 0).keep_counts == beside.keep_counts
    assert alone.full.kv_bytes == context.kv_bytes
    assert alone.steps.score_s > 0
    assert min(alone.steps.allocate_s, alone.steps.select_s) > 0
    best = read_replay(loaded, context, ids)[0][0, 0].topk(5).indices.tolist()
    if allocator == "uniform":
        assert set(best) <= set(held.kept[0].mask[0, 0].nonzero().flatten().tolist())


def test_a_scorer_that_changes_what_it_is_shown_costs_its_own_answer_alone(loaded: LoadedModel, ids: list[int]) -> None:
    class Writing(KVzip):
        def score(self, layer: LayerView) -> Tensor:
            layer.keys.zero_()
            return super().score(layer)

    expected = prefill(loaded, ids, {"kvzip": KVzip()})
    context = prefill(loaded, ids, {"writing": Writing(), "kvzip": KVzip()})
    assert "changed the keys" in str(context.failures["writing"])
    torch.testing.assert_close(context.table("kvzip"), expected.table("kvzip"))


def test_a_model_whose_rotary_embedding_depends_on_the_length_repeats_as_it_read(
    tmp_path: Path, ids: list[int]
) -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    grown = make_model(tmp_path / "dynamic", rope_parameters=rope, max_position_embeddings=T + 30)
    loaded = ready_model(str(grown), torch.device("cpu"), "float32")
    kept = evict_alone(loaded, ids, method("global", "kvzip"), 0, len(ids) + 20).selection.keep_counts
    assert sum(map(sum, kept)) == int(0.4 * len(ids)) * loaded.shape.n_layers * loaded.shape.n_kv_heads


def test_a_replay_that_the_windows_of_a_model_do_not_reach_is_refused(loaded: LoadedModel, ids: list[int]) -> None:
    near = replace(loaded, reach=len(ids) + 40)
    with pytest.raises(UserError, match="window of 130"):
        read_replay(near, prefill(loaded, ids, {}), ids)
