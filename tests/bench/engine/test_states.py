"""Models with recurrent layers: a state passes through an eviction, each row has its own, none is lost or mixed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.cache_utils import Cache

from lukv_bench import UserError
from lukv_bench.bench.api.batching import check_drafting
from lukv_bench.bench.api.grid import Grid
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import evict, keep_everything, share
from lukv_bench.bench.engine.layouts import RAGGED, SHARED
from lukv_bench.bench.engine.likelihood import empty_context, likelihood
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.estimate import CacheShape, estimate
from lukv_bench.bench.methods.eviction import check_methods
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.schedule import Schedule
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run.batching import Batching
from lukv_bench.bench.run.unit import Seconds, Unit, UnitConfiguration
from lukv_bench.bench.run.worker import Worker

KINDS: dict[str, dict[str, Any]] = {
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "falcon_h1": {},
    "jamba": {},
}
"""Linear attention in place of attention, a state space beside it, and one that has to be fed token by token."""
CONTEXT, QUESTION, ANSWER = 40, 5, 10
STOP = Stop(ANSWER, frozenset())
Ids = Callable[[int, int], list[int]]
Both = tuple[LoadedModel, Any]


def load(folder: Path, dtype: str = "float32") -> LoadedModel:
    return ready_model(str(folder), torch.device("cpu"), dtype)


@pytest.fixture(scope="module", params=KINDS)
def hybrid(request: pytest.FixtureRequest, script: Any, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A model as the engine runs it, and the same weights as transformers runs them."""
    folder = tmp_path_factory.mktemp(request.param)
    script("tiny_architectures").save_tiny(request.param, folder, **KINDS[request.param])
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    plain.generation_config.eos_token_id = None
    plain.generation_config.pad_token_id = 0
    return load(folder), plain


def greedy(plain: Any, ids: list[int]) -> list[int]:
    asked = torch.tensor([ids])
    out = plain.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=ANSWER, do_sample=False)
    return out[0, len(ids) :].tolist()


def test_rows_that_stop_at_different_steps_answer_as_generate_does(hybrid: Both, some_ids: Ids) -> None:
    loaded, plain = hybrid
    context, questions = some_ids(CONTEXT, 1), [some_ids(QUESTION, n) for n in range(2, 5)]
    wanted = [greedy(plain, context + question) for question in questions]
    read = prefill(loaded, context, {}, n_sequence=CONTEXT + QUESTION + ANSWER)
    assert [row.ids for row in decode(loaded, share(read, 3, 4), questions, STOP).rows] == wanted
    eos = frozenset({wanted[0][2], wanted[2][6]})
    rows = decode(loaded, share(read, 3, 4), questions, Stop(ANSWER, eos)).rows
    ends = [next((place for place, token in enumerate(ids) if token in eos), ANSWER) for ids in wanted]
    assert [row.ids for row in rows] == [ids[:end] for ids, end in zip(wanted, ends, strict=True)]
    assert len(set(ends)) > 1, "rows must stop at different steps for this test to say anything"
    with pytest.raises(ValueError, match="equally many tokens in every row"):
        decode(loaded, share(read, 2, 4), [questions[0], questions[1][1:]], STOP)


def test_configurations_give_one_answer_in_every_layout_and_after_an_interrupt(
    hybrid: Both, some_ids: Ids, kept_at_random: Callable[..., list[Any]]
) -> None:
    loaded, _ = hybrid
    question = some_ids(QUESTION, 7)
    read = prefill(loaded, some_ids(CONTEXT, 3), {}, n_sequence=CONTEXT + QUESTION + ANSWER)
    kept = [kept_at_random(loaded.shape, CONTEXT, 1, seed) for seed in range(2)]
    alone = [decode(loaded, evict(read, one, 4), [question], STOP).rows[0].ids for one in kept]
    assert alone[0] != alone[1], "the eviction must matter for this test to say anything"
    for layout in (RAGGED, SHARED):
        assert [row.ids for row in decode(loaded, layout.build(read, kept, 4), [question] * 2, STOP).rows] == alone
    again, calls = evict(read, kept[0], 4), 0

    def interrupt(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == QUESTION + 2:
            raise KeyboardInterrupt

    hook = loaded.attention_modules[-1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode(loaded, again, [question], STOP)
    hook.remove()
    for _ in range(2):
        again.take_all_back()
        assert decode(loaded, again, [question], STOP).rows[0].ids == alone[0]


def test_a_state_gives_back_no_single_token(hybrid: Both, some_ids: Ids) -> None:
    loaded, _ = hybrid
    read = prefill(loaded, some_ids(CONTEXT, 1), {}, n_sequence=CONTEXT + QUESTION + ANSWER)
    cache = evict(read, keep_everything(read), 4)
    decode(loaded, cache, [some_ids(QUESTION, 2)], STOP)
    with pytest.raises(ValueError, match="all tokens fed after the context, or none"):
        cache.take_back(torch.tensor([1]))
    cache.take_back(cache.n_seen - CONTEXT)
    assert cache.n_seen.tolist() == [CONTEXT]


@torch.inference_mode()
def test_it_holds_the_bytes_that_transformers_own_cache_holds(hybrid: Both, some_ids: Ids) -> None:
    loaded, plain = hybrid
    for n_tokens in (1, 3, CONTEXT):
        ids = some_ids(n_tokens, 5)
        n_bytes = sum(_bytes(layer) for layer in plain(torch.tensor([ids]), use_cache=True).past_key_values.layers)
        read = prefill(loaded, ids, {})
        assert read.kv_bytes == n_bytes == sum(evict(read, keep_everything(read), 8).kv_bytes_by_row())
        assert estimate(CacheShape(loaded.shape, 4), n_tokens, Budget(), None).kv_bytes_full == n_bytes


def _bytes(layer: Any) -> int:
    held = [getattr(layer, "keys", None), getattr(layer, "values", None)]
    for states in (getattr(layer, "conv_states", {}), getattr(layer, "recurrent_states", {})):
        held += states.values()
    return sum(tensor.nbytes for tensor in held if tensor is not None)


@torch.inference_mode()
def test_a_text_without_a_context_is_scored_as_in_one_pass(hybrid: Both, some_ids: Ids) -> None:
    loaded, plain = hybrid
    ids, empty = some_ids(CONTEXT, 9), empty_context(loaded, CONTEXT)
    scored = likelihood(loaded, evict(empty, keep_everything(empty), CONTEXT), ids[:-1], ids[1:])
    wanted = plain(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    assert scored.logprob == pytest.approx(float(wanted[:-1].gather(1, torch.tensor(ids[1:]).unsqueeze(1)).sum()), 1e-4)


def test_a_worker_drafts_nothing_and_its_answers_say_what_states_take(hybrid: Both, some_ids: Ids) -> None:
    loaded, _ = hybrid
    methods = build_methods(["full", "uniform", "adakv"], ["keydiff"], [Budget(keep_tokens=12)], 2, 2, baselines=False)
    configurations = tuple(UnitConfiguration(method.label, method) for method in methods)
    context, question = tuple(some_ids(CONTEXT, 1)), tuple(some_ids(QUESTION, 2))
    unit = Unit("sample", context, question, CONTEXT + QUESTION + ANSWER, STOP, 3, configurations)
    batchings = (Batching(None, drafts=True, max_memory=2**30), Batching(1))
    drafting, alone = (
        [replace(one, seconds=Seconds()) for one in Worker(loaded, {}).answers(unit, batching, lambda _: None)]
        for batching in batchings
    )
    assert drafting == alone
    shape = loaded.shape
    said = {"event": "recurrent_states", "layers": list(shape.stateful), "state_bytes": shape.state_bytes}
    for one, method in zip(alone, methods, strict=True):
        assert one.error is None
        assert one.n_passes == one.n_steps == ANSWER
        assert (said in one.events) == (method.scorer is not None)


def test_fidelity_of_a_model_that_drafts_nothing_is_refused(hybrid: Both) -> None:
    loaded, _ = hybrid
    check_drafting(Grid(), loaded)
    with pytest.raises(UserError, match="--fidelity needs drafts, and the recurrent layers"):
        check_drafting(Grid(fidelity=True), loaded)


def test_a_model_that_loses_its_state_between_blocks_is_refused_blocks(hybrid: Both, some_ids: Ids) -> None:
    """The others go on from it: `test_blocks_architectures.py`."""
    loaded, _ = hybrid
    methods = build_methods(["full"], [], [], None, None, False, [Schedule(16)])
    assert loaded.one_by_one == (loaded.model.config.model_type == "jamba")
    if loaded.one_by_one:
        with pytest.raises(UserError, match="cannot read a context in blocks"):
            check_methods(loaded, methods)
    else:
        check_methods(loaded, methods)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("state", ["get_conv_state", "get_recurrent_state"])
def test_a_state_that_is_lost_is_refused_in_every_dtype(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, state: str
) -> None:
    script("tiny_architectures").save_tiny("bamba", tmp_path)
    assert load(tmp_path, dtype).shape.stateful == (0, 2)
    monkeypatch.setattr(Cache, state, lambda *_args, **_kwargs: None)
    monkeypatch.setattr(Cache, "update_conv_state", lambda _self, states, *_args, **_kwargs: states)
    with pytest.raises(UserError, match="the recurrent part of layer 0 differs from the model's own"):
        load(tmp_path, dtype)
