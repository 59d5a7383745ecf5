"""Rotary embeddings that depend on the sequence's length: every part of it is rotated as one pass over the whole."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma3TextConfig,
    LlamaConfig,
    Olmo3Config,
    Phi3Config,
    PhimoeConfig,
    Qwen2Config,
)

from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.decode import Stop, decode, fed_at_most
from lukv_bench.bench.engine.evict import evict, keep_everything, share
from lukv_bench.bench.engine.likelihood import empty_context, likelihood
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.engine.rotary import shortest_alike, switch_events
from lukv_bench.kernels.select import Kept, stack
from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.expected_attention import ExpectedAttention

Ids = Callable[[int, int], list[int]]
SWITCH = 24
"""The longest short sequence."""

HEADS: dict[str, int] = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
DEFAULT = {"rope_type": "default", "rope_theta": 10000.0}
LONGROPE: dict[str, Any] = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 6,
    "long_factor": [1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
    "original_max_position_embeddings": SWITCH,
}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
NO_TOKENS = {"pad_token_id": 0, "eos_token_id": None, "bos_token_id": None}


def by_layer_type(kind: type, sizes: dict[str, Any], rope: dict[str, Any]) -> Any:
    """Sliding layers, whose window hides nothing here, and full ones with a rotary embedding of their own."""
    types = ["sliding_attention", "full_attention", "sliding_attention"]
    rope_parameters = {"full_attention": rope, "sliding_attention": DEFAULT}
    made = kind(**sizes, **HEADS, head_dim=12, layer_types=types, sliding_window=500, **NO_TOKENS)
    made.rope_parameters = rope_parameters
    return made


CONFIGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "llama-longrope": lambda sizes: LlamaConfig(**sizes, **HEADS, rope_parameters=LONGROPE),
    "phi3-longrope": lambda sizes: Phi3Config(
        **sizes, **HEADS, **NO_TOKENS, rope_parameters=LONGROPE, original_max_position_embeddings=SWITCH
    ),
    "phimoe-longrope": lambda sizes: PhimoeConfig(
        **sizes,
        **HEADS,
        **NO_TOKENS,
        num_local_experts=2,
        sliding_window=None,
        rope_parameters=LONGROPE | {"short_mscale": 1.1, "long_mscale": 1.4},
    ),
    "qwen2-dynamic": lambda sizes: Qwen2Config(
        **(sizes | {"max_position_embeddings": SWITCH}), **HEADS, rope_parameters=DYNAMIC
    ),
    "gemma3-longrope": lambda sizes: by_layer_type(Gemma3TextConfig, sizes, LONGROPE),
    "olmo3-dynamic": lambda sizes: by_layer_type(Olmo3Config, sizes | {"max_position_embeddings": SWITCH}, DYNAMIC),
}


@dataclass(frozen=True)
class Switching:
    """A model whose rotary embedding changes behind SWITCH tokens, and an untouched copy of it."""

    loaded: Any
    plain: Any

    @torch.inference_mode()
    def unsplit(self, ids: list[int]) -> Tensor:
        """Logits [N, vocabulary] of one pass of a model that has read nothing before."""
        logits: Tensor = copy.deepcopy(self.plain)(torch.tensor([ids]), use_cache=False).logits[0].float()
        return logits

    def read(self, ids: list[int], n_sequence: int, **more: Any) -> Context:
        return prefill(self.loaded, ids, more.pop("scorers", {}), n_sequence=n_sequence, **more)


@pytest.fixture(scope="module", params=CONFIGS)
def switching(request: pytest.FixtureRequest, build: Callable[..., Any], sizes: dict[str, Any]) -> Switching:
    return make(request.param, build, sizes)


@pytest.fixture(scope="module")
def longrope(build: Callable[..., Any], sizes: dict[str, Any]) -> Switching:
    return make("llama-longrope", build, sizes)


def make(name: str, build: Callable[..., Any], sizes: dict[str, Any]) -> Switching:
    loaded = build(CONFIGS[name](sizes))
    plain = copy.deepcopy(loaded.model)
    prove_attention(loaded)
    return Switching(loaded, plain)


LENGTHS = [
    pytest.param(8, 5, 4, id="below"),
    pytest.param(15, 6, 4, id="to-the-last-short-token"),
    pytest.param(20, 9, 4, id="inside-the-question"),
    pytest.param(24, 3, 4, id="behind-the-context"),
    pytest.param(14, 5, 12, id="inside-the-answer"),
    pytest.param(30, 5, 4, id="inside-the-context"),
]


@pytest.mark.parametrize(("n_context", "n_question", "n_answer"), LENGTHS)
def test_context_question_and_answer_are_one_pass_over_the_whole(
    switching: Switching, some_ids: Ids, forced: type, n_context: int, n_question: int, n_answer: int
) -> None:
    """The switch anywhere, in a ragged cache and in a shared one of two rows."""
    context, question, answer = some_ids(n_context, 0), some_ids(n_question, 1), some_ids(n_answer, 2)
    whole = [*context, *question, *answer[:-1]]
    expected = switching.unsplit(whole)[-n_answer:]
    read = switching.read(context, len(whole))
    kept = keep_everything(read)
    for rows, cache in (
        (1, evict(read, kept, 4)),
        (2, evict(read, [stack([layer, layer]) for layer in kept], 4)),
        (2, share(read, 2, 4)),
    ):
        teacher = forced([[token] * rows for token in answer])
        decode(switching.loaded, cache, [question] * rows, Stop(n_answer, frozenset()), teacher)
        for row in range(rows):
            torch.testing.assert_close(teacher.seen[:, row], expected, atol=1e-3, rtol=1e-3)


def test_the_two_rotations_differ_enough_for_these_tests_to_fail(switching: Switching, some_ids: Ids) -> None:
    context = some_ids(20, 0)
    short, long = (switching.read(context, n_sequence).keys for n_sequence in (20, 40))
    assert max(float((one - other).abs().max()) for one, other in zip(short, long, strict=True)) > 0.1


@pytest.mark.parametrize("n_prompt", [12, SWITCH - 5, SWITCH + 1, 40])
def test_greedy_answers_are_those_of_generate(
    longrope: Switching, some_ids: Ids, assert_generates: Callable[..., None], n_prompt: int
) -> None:
    """Below and above the switch; inside an answer generate has no answer of its own to hold ours against."""
    prompt, n_answer = some_ids(n_prompt, 3), 6
    context = longrope.read(prompt[:-4], n_prompt + fed_at_most(n_answer))
    cache = evict(context, keep_everything(context), 4)
    (row,) = decode(longrope.loaded, cache, [prompt[-4:]], Stop(n_answer, frozenset())).rows
    assert_generates(longrope.plain, prompt, row.ids, n_answer)
    assert switch_events(longrope.plain, n_prompt, n_prompt + fed_at_most(n_answer)) == []


def test_a_switch_inside_the_answer_is_an_event(switching: Switching) -> None:
    assert switch_events(switching.plain, SWITCH - 1, SWITCH) == []
    (event,) = switch_events(switching.plain, SWITCH, SWITCH + 1)
    assert event == {"event": "rotary_switch_in_answer", "n_prompt": SWITCH, "n_sequence": SWITCH + 1}


def test_no_event_and_one_rotation_where_the_length_does_not_matter(llama: Any) -> None:
    assert switch_events(llama.plain, 3, 400) == []
    assert shortest_alike(llama.plain, 10_000) == 0


@pytest.mark.parametrize("n_sequence", [SWITCH, SWITCH + 1, 2 * SWITCH])
def test_a_text_scored_in_two_parts_is_one_pass(switching: Switching, some_ids: Ids, n_sequence: int) -> None:
    ids = some_ids(n_sequence + 1, 4)
    logprobs = switching.unsplit(ids[:-1]).log_softmax(-1)
    expected = logprobs.gather(-1, torch.tensor(ids[1:]).unsqueeze(-1)).squeeze(-1)
    half = n_sequence // 2
    nothing = empty_context(switching.loaded, n_sequence)
    first = likelihood(
        switching.loaded, evict(nothing, keep_everything(nothing), half), ids[:half], ids[1 : half + 1]
    ).logprob
    read = switching.read(ids[:half], n_sequence)
    second = likelihood(
        switching.loaded, evict(read, keep_everything(read), half), ids[half:-1], ids[half + 1 :]
    ).logprob
    assert first == pytest.approx(float(expected[:half].sum()), abs=1e-3)
    assert second == pytest.approx(float(expected[half:].sum()), abs=1e-3)


def test_the_order_of_sequences_changes_nothing(switching: Switching, some_ids: Ids) -> None:
    """Dynamic NTK only grows: after a long sequence a shorter one behind the switch would keep its frequencies."""
    ids = some_ids(60, 5)
    alone = {n: switching.read(ids[:n], n).keys for n in (10, SWITCH, SWITCH + 1, 60)}
    for n in (60, 10, SWITCH + 1, 60, SWITCH, SWITCH + 1, 10):
        for one, other in zip(switching.read(ids[:n], n).keys, alone[n], strict=True):
            assert torch.equal(one, other)


def test_the_model_is_left_as_it_was(switching: Switching, some_ids: Ids) -> None:
    ids = torch.tensor([some_ids(10, 6)])
    rotary = switching.loaded.model.model.rotary_emb
    before = {name: value.clone() for name, value in rotary.named_buffers()}
    kinds, config = copy.copy(rotary.rope_type), rotary.config
    switching.read(ids[0].tolist(), 60)
    assert rotary.rope_type == kinds
    assert rotary.config is config
    for name, value in rotary.named_buffers():
        assert torch.equal(value, before[name]), name


def test_a_failure_leaves_the_model_as_it_was(longrope: Switching, some_ids: Ids) -> None:
    def fail(*_: Any) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        longrope.read(some_ids(10, 7), 60, observers=[fail])
    assert longrope.loaded.model.model.rotary_emb.rope_type == "longrope"


def test_more_than_the_sequence_was_read_for_is_no_silent_switch(longrope: Switching, some_ids: Ids) -> None:
    context = longrope.read(some_ids(20, 8), 20)
    for n_answer in (1, SWITCH - 20 - 3 + 1):
        decode(
            longrope.loaded,
            evict(context, keep_everything(context), 4),
            [some_ids(3, 9)],
            Stop(n_answer, frozenset()),
        )
    with pytest.raises(ValueError, match=r"25 tokens are fed of a sequence that is rotated for 20"):
        decode(longrope.loaded, evict(context, keep_everything(context), 4), [some_ids(3, 9)], Stop(3, frozenset()))


@dataclass(frozen=True)
class Looking:
    """Remembers the rotary embedding of far positions."""

    source: ClassVar[str] = "tests"
    protection: ClassVar[Protection] = Protection(0, 0)
    reads: ClassVar[Reads] = Reads(rotary=True, queries_before_rotary=True, module=True)
    seen: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    given: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def score(self, layer: LayerView) -> Tensor:
        assert layer.rotary is not None
        assert layer.kwargs is not None
        self.seen.append(layer.rotary(torch.arange(400)))
        self.given.append(layer.kwargs["position_embeddings"])
        return layer.keys[..., 0].float()


@pytest.mark.parametrize("n_sequence", [20, 40])
def test_a_scorer_s_future_positions_turn_as_the_keys_do(switching: Switching, some_ids: Ids, n_sequence: int) -> None:
    """Whatever lies between the context and position 399, in every layer of its own type."""
    looking = Looking()
    switching.read(some_ids(20, 10), n_sequence, scorers={"looking": looking}).table("looking")
    n_all = shortest_alike(switching.plain, n_sequence)
    for (cos, sin), given in zip(looking.seen, looking.given, strict=True):
        for far, near in ((cos, given[0][0]), (sin, given[1][0])):
            torch.testing.assert_close(far[:20], near, atol=1e-6, rtol=0)
        scale = cos[0, 0]  # position 0 is not turned
        for position in (21, 100, 399):  # turns add up, if the frequencies are one and the same
            turned = (cos[1] * cos[position - 1] - sin[1] * sin[position - 1]) / scale
            torch.testing.assert_close(cos[position], turned, atol=1e-4, rtol=0)
    assert (n_all == 0) == (n_sequence <= SWITCH)


def test_expected_attention_below_the_switch_is_that_of_a_model_without_one(
    build: Callable[..., Any], sizes: dict[str, Any], longrope: Switching, some_ids: Ids
) -> None:
    """Its 512 future positions lie behind the switch; the keys do not."""
    rope = LONGROPE | {"original_max_position_embeddings": 5000, "attention_factor": 1.0}
    wide = build(LlamaConfig(**sizes, **HEADS, rope_parameters=rope))
    narrow = build(LlamaConfig(**sizes, **HEADS, rope_parameters=LONGROPE | {"attention_factor": 1.0}))
    ids, scorers = some_ids(20, 11), {"ea": ExpectedAttention()}
    for loaded in (wide, narrow):
        prove_attention(loaded)
    assert torch.equal(prefill(wide, ids, scorers).table("ea"), prefill(narrow, ids, scorers).table("ea"))


def test_eviction_behind_the_switch_is_a_mask_over_one_pass(
    switching: Switching,
    some_ids: Ids,
    forced: type,
    kept_at_random: Callable[..., list[Kept]],
    unsplit_logits: Callable[..., Tensor],
) -> None:
    context, question, answer = some_ids(20, 12), some_ids(4, 13), some_ids(5, 14)
    whole = [*context, *question, *answer[:-1]]
    kept = kept_at_random(switching.loaded.shape, 20, 1, 0)
    teacher = forced([[token] for token in answer])
    cache = evict(switching.read(context, len(whole)), kept, 4)
    decode(switching.loaded, cache, [question], Stop(len(answer), frozenset()), teacher)
    expected = unsplit_logits(copy.deepcopy(switching.plain), whole, [layer.mask for layer in kept])
    torch.testing.assert_close(teacher.seen[:, 0], expected[-len(answer) :], atol=1e-3, rtol=1e-3)


def test_an_answer_to_a_prompt_beyond_the_switch_is_that_of_generate(script: Callable[[str], Any]) -> None:
    """The default model's, whose context ends before the switch."""
    for imported in ("task_prompts", "full_vs_generate"):
        script(imported)
    (row,) = script("rotary_switch").compare_all(length=640, limit=1, switch=480, new_tokens=16)
    assert row.n_context <= 480 < row.n_prompt
    assert row.generate, "the needle must be there to be found"
    assert row.full
    assert row.equal
