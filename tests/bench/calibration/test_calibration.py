"""Calibration against what transformers' own eager attention says, on a random model with a letter tokenizer."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from lukv_bench.allocators.lukv import LUKV
from lukv_bench.bench.calibration import calibrate as calibrate_module
from lukv_bench.bench.calibration.calibrate import MAX_NEW_TOKENS, Target, calibrate
from lukv_bench.bench.calibration.documents import Document
from lukv_bench.bench.calibration.oracle import Oracle
from lukv_bench.bench.calibration.partial import Partial
from lukv_bench.bench.calibration.window import prompts_of
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import share
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel, ModelShape
from lukv_bench.bench.plugins.registry import build
from lukv_bench.bench.profiles.obtain import making
from lukv_bench.bench.profiles.owner import ProfileOwner
from lukv_bench.scorers.base import CalibrationReads, LayerView, Protection, Reads
from lukv_bench.scorers.keydiff import KeyDiff
from lukv_bench.scorers.kvzip import KVzip

from .letters import DOCUMENT, HQ, LETTERS, N_LAYERS, TARGETS, D, G, H, silent


@torch.no_grad()
def expected_importance(loaded: LoadedModel, context: Sequence[int], question: Sequence[int], fed: list[int]) -> Tensor:
    """[L, H, T] from one eager pass over everything, the formula written out."""
    model, n_context = loaded.model, len(context)
    values: list[Tensor] = []
    hooks = [
        layer.self_attn.v_proj.register_forward_hook(lambda _m, _i, out: values.append(out[0, :n_context]))
        for layer in model.model.layers
    ]
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    attentions = model(torch.tensor([[*context, *question, *fed]]), output_attentions=True).attentions
    model.set_attn_implementation(before)
    for hook in hooks:
        hook.remove()
    first = n_context + len(question)
    importance = torch.zeros(N_LAYERS, H, n_context)
    for index, layer in enumerate(model.model.layers):
        v = values[index].view(n_context, H, D)
        norms = torch.stack(
            [(v[:, q // G] @ layer.self_attn.o_proj.weight[:, q * D : (q + 1) * D].T).norm(dim=-1) for q in range(HQ)]
        )
        norms = norms / (norms.sum() + 1e-9)
        for step in range(len(fed)):
            for q in range(HQ):
                seen = attentions[index][0, q, first + step, :n_context] * norms[q]
                importance[index, q // G] = torch.maximum(importance[index, q // G], seen)
    return importance


def test_importance_is_attention_times_projected_value_at_its_largest_over_steps_and_group(loaded: LoadedModel) -> None:
    made = torch.Generator().manual_seed(1)
    context = torch.randint(len(LETTERS), (60,), generator=made).tolist()
    questions = [torch.randint(len(LETTERS), (n,), generator=made).tolist() for n in (5, 11, 1)]
    stop = Stop(20, frozenset({3, 9}))  # some letters end an answer, so that rows stop at different steps
    oracle = Oracle()
    seen = prefill(loaded, context, {}, [oracle.see_context])
    oracle.begin(len(questions), H)
    cache = share(seen, len(questions), room=4, watch=oracle.see_step)
    rows = decode(loaded, cache, questions, stop).rows
    lengths = {len(row.ids) for row in rows}
    assert len(lengths) > 1, "the rows must stop at different steps for this test to say anything"
    for row, question, importance in zip(rows, questions, oracle.importance, strict=True):
        fed = row.ids if row.stop_reason == "eos" else row.ids[:-1]
        expected = expected_importance(loaded, context, question, fed)
        torch.testing.assert_close(importance, expected, atol=1e-7, rtol=1e-4)


def test_questions_that_are_answered_one_by_one_give_the_same(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a model with recurrent layers are."""
    (together,) = calibrate(loaded, TARGETS, [DOCUMENT], seed=0, report=silent)["keydiff"]
    told: list[int] = []
    monkeypatch.setattr(ModelShape, "stateful", (0,))
    (apart,) = calibrate(loaded, TARGETS, [DOCUMENT], seed=0, report=lambda _what, done, _total: told.append(done))[
        "keydiff"
    ]
    assert torch.allclose(apart.importance, together.importance, atol=1e-7, rtol=1e-4)
    assert told == sorted(told)


def test_one_pass_serves_several_scorers_each_with_its_own_protection(loaded: LoadedModel) -> None:
    seen = calibrate(loaded, TARGETS, [DOCUMENT, DOCUMENT], seed=0, report=silent)
    assert set(seen) == set(TARGETS)
    for name, documents in seen.items():
        assert len(documents) == 2
        n_tokens = documents[0].protected.numel()
        protection = TARGETS[name].protection
        assert int(documents[0].protected.sum()) == protection.sink + protection.window
        assert documents[0].importance.shape == (3, N_LAYERS, H, n_tokens)
        assert documents[0].scores.shape == (N_LAYERS, H, n_tokens)
        assert (documents[0].importance >= 0).all()
        assert (documents[0].importance > 0).any()


READS = [
    CalibrationReads(importance=True),
    CalibrationReads(keys=True),
    CalibrationReads(scores=True),
    CalibrationReads(values=True, importance=True),
    CalibrationReads(hidden_states=True),
    CalibrationReads(replay=True),
    CalibrationReads(utility=True),
    CalibrationReads(),
]


def test_inputs_and_replay_are_transformers_own_and_kvzips(loaded: LoadedModel) -> None:
    target = Target(None, Protection(4, 1), CalibrationReads(hidden_states=True, replay=True))
    (document,) = calibrate(loaded, {"own": target}, [DOCUMENT], 0, silent)["own"]
    context = prompts_of(loaded, DOCUMENT)[0].context
    before = loaded.model.config._attn_implementation
    try:
        loaded.model.set_attn_implementation("eager")
        with torch.no_grad():
            residuals = loaded.model(torch.tensor([context]), output_hidden_states=True).hidden_states
    finally:
        loaded.model.set_attn_implementation(before)
    for index, layer in enumerate(loaded.model.model.layers):
        expected = layer.input_layernorm(residuals[index])[0].detach()
        torch.testing.assert_close(document.hidden_states[index], expected, atol=1e-5, rtol=1e-5)
    table = prefill(loaded, context, {"kvzip": KVzip()}).table("kvzip")
    torch.testing.assert_close(document.replay, table[:, 0])


def assert_same(one: Tensor, other: Tensor) -> None:
    """Shape, type and all numbers; what is not known of a utility is NaN in both."""
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("reads", READS, ids=str)
def test_a_document_holds_what_was_declared_and_nothing_else(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: CalibrationReads
) -> None:
    whole = {
        "whole": Target(
            KeyDiff(), Protection(4, 1), CalibrationReads(*[True] * len(dataclasses.fields(CalibrationReads)))
        )
    }
    (everything,) = calibrate(loaded, whole, [DOCUMENT], 0, silent)["whole"]
    scorer = KeyDiff() if reads.scores else None
    if not (reads.importance or reads.utility):
        monkeypatch.setattr(calibrate_module, "decode", lambda *_: pytest.fail("an answer that nobody reads"))
    partial = Partial(tmp_path, "k" * 16)
    alone = {"alone": Target(scorer, Protection(4, 1), reads)}
    (document,) = calibrate(loaded, alone, [DOCUMENT], 0, silent, partial)["alone"]
    for name in ("scores", "importance", "keys", "values", "hidden_states", "replay", "utility"):
        tensor = getattr(document, name)
        assert (tensor is not None) == getattr(reads, name), name
        if tensor is not None:
            assert_same(tensor, getattr(everything, name))
    (again,) = calibrate(dataclasses.replace(loaded, model=None), alone, [DOCUMENT], 0, silent, partial)["alone"]
    for field in dataclasses.fields(document):
        first, second = getattr(document, field.name), getattr(again, field.name)
        assert (first is None) == (second is None), "kept for an interrupted calibration"
        if first is not None:
            assert_same(first, second)


@torch.no_grad()
def test_keys_and_values_are_those_of_the_cache(loaded: LoadedModel) -> None:
    reads = CalibrationReads(keys=True, values=True)
    (document,) = calibrate(loaded, {"a": Target(None, Protection(4, 1), reads)}, [DOCUMENT], 0, silent)["a"]
    ids = prompts_of(loaded, DOCUMENT)[0].context
    before = loaded.model.config._attn_implementation
    loaded.model.set_attn_implementation("eager")
    cache = loaded.model(torch.tensor([ids]), use_cache=True).past_key_values
    loaded.model.set_attn_implementation(before)
    assert document.keys is not None
    assert document.values is not None
    for index, layer in enumerate(cache.layers):
        torch.testing.assert_close(document.keys[index], layer.keys[0])
        torch.testing.assert_close(document.values[index], layer.values[0])


def test_the_same_seed_calibrates_the_same_and_another_does_not(loaded: LoadedModel) -> None:
    def importance(seed: int) -> Tensor:
        return calibrate(loaded, TARGETS, [DOCUMENT], seed, silent)["keydiff"][0].importance

    assert torch.equal(importance(0), importance(0))
    assert not torch.equal(importance(0), importance(1))


def test_a_question_is_answered_the_same_alone_and_in_a_batch(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Document, "sha256", "the same random streams")
    batch = calibrate(loaded, TARGETS, [DOCUMENT], 0, silent)["keydiff"][0].importance[0]
    prompts = []

    def spy(doing: str, done: int, total: int) -> None:
        prompts.append(done)

    alone = Document(DOCUMENT.name, DOCUMENT.text, DOCUMENT.questions[:1])
    single = calibrate(loaded, TARGETS, [alone], 0, spy)["keydiff"][0].importance[0]
    torch.testing.assert_close(single, batch, atol=1e-7, rtol=1e-4)
    assert max(prompts) == MAX_NEW_TOKENS, "progress is told step by step"


@dataclasses.dataclass(frozen=True)
class Budgeted:
    """A scorer that remembers which budget it was told."""

    source: ClassVar[str] = "tests"
    reads: ClassVar[Reads] = Reads(budget=True)
    protection: ClassVar[Protection] = Protection(4, 1)
    told: set[int | None] = dataclasses.field(default_factory=set)

    def score(self, layer: LayerView) -> Tensor:
        self.told.add(layer.n_kept)
        return layer.keys[..., 0].float()


def test_a_scorer_that_reads_the_budget_is_calibrated_at_a_fifth_of_the_tokens(loaded: LoadedModel) -> None:
    scorer = Budgeted()
    seen = calibrate(loaded, {"budgeted": Target(scorer, Protection(4, 1), LUKV.calibration)}, [DOCUMENT], 0, silent)
    assert scorer.told == {int(0.2 * seen["budgeted"][0].protected.numel())}


def test_a_profile_says_the_budget_that_its_scorer_was_told(loaded: LoadedModel) -> None:
    plugins = {name: build("scorer", name) for name in ("critical:of=(snapkv:window=5)", "keydiff")}
    lukv = build("allocator", "lukv")
    owners = {name: ProfileOwner.of(lukv, plugin, Protection(4, 1)) for name, plugin in plugins.items()}
    with making(owners, loaded, [DOCUMENT], 0, silent) as profiles:
        assert set(profiles) == set(plugins)
    critical, keydiff = (dict(profiles[name].made) for name in plugins)
    assert critical["scorer_kept_share"] == 0.2
    assert "scorer_kept_share" not in keydiff
    inner = {"name": "snapkv", "arguments": {"window": 5, "kernel": 7, "pool": "max"}, "code": None}
    assert critical["scorer_arguments"] == {"of": inner, "epsilon": 1e-4, "first_share": 0.5}


def test_progress_says_what_is_counted_and_how_long_the_rest_may_take(loaded: LoadedModel) -> None:
    told: list[tuple[str, int, int]] = []
    talkative = dataclasses.replace(loaded, eos=frozenset())
    calibrate(talkative, TARGETS, [DOCUMENT, DOCUMENT], 0, lambda *step: told.append(step))
    assert told[0] == (f"calibrating on fox (text 1 of 2): reading {len(DOCUMENT.text)} tokens", 0, 2 * MAX_NEW_TOKENS)
    first_token, second_token = told[1][0], told[2][0]
    assert first_token == "calibrating on fox (text 1 of 2): answering 3 questions, tokens of each"
    assert re.fullmatch(re.escape(first_token) + r", at most \d+ (s|min) left", second_token)
    assert told[-1][1:] == (2 * MAX_NEW_TOKENS, 2 * MAX_NEW_TOKENS)
