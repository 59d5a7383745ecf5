"""What tokens are worth to three futures, against loops over plain transformers' attention and gradients in float64."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lukv_bench import UserError
from lukv_bench.bench.calibration import calibrate as calibrate_module
from lukv_bench.bench.calibration import utility as utility_module
from lukv_bench.bench.calibration.calibrate import Target, calibrate
from lukv_bench.bench.calibration.utility import N_CONTINUED, utilities
from lukv_bench.bench.engine.importance import SeenLayers
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.prompt import Prompt
from lukv_bench.bench.engine.replay import parts_of
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import CalibrationReads, Protection

from .letters import DOCUMENT, HQ, LETTERS, N_LAYERS, D, G, H, silent

N_CONTEXT = 48


@pytest.fixture(scope="module")
def plain(loaded: LoadedModel) -> Any:
    """The same weights in float64 under transformers' own attention."""
    model = deepcopy(loaded.model).double()
    model.set_attn_implementation("eager")
    return model


def norms_of(plain: Any, context: Sequence[int]) -> Tensor:
    """[L, HQ, T]: ||W_O v_j|| of each query head, divided by their sum over the layer."""
    values: list[Tensor] = []
    hooks = [
        layer.self_attn.v_proj.register_forward_hook(lambda _m, _i, out: values.append(out[0].detach()))
        for layer in plain.model.layers
    ]
    plain(input_ids=torch.tensor([[*context]]))
    for hook in hooks:
        hook.remove()
    norms = torch.zeros(N_LAYERS, HQ, len(context), dtype=torch.float64)
    for index, layer in enumerate(plain.model.layers):
        v = values[index].view(len(context), H, D)
        for q in range(HQ):
            own = layer.self_attn.o_proj.weight.detach()[:, q * D : (q + 1) * D]
            norms[index, q] = (v[:, q // G] @ own.T).norm(dim=-1)
        norms[index] /= norms[index].sum()
    return norms


def worth(plain: Any, norms: Tensor, context: Sequence[int], ids: Sequence[int], n_targets: int) -> Tensor:
    """[2, L, H, n]: importance and change by gradient of each context token, while `ids` follow the context."""
    inputs: list[Tensor] = []
    values: list[Tensor] = []

    def keep(_: Any, args: tuple[Tensor, ...]) -> None:
        args[0].retain_grad()
        inputs.append(args[0])

    hooks = []
    for layer in plain.model.layers:
        attention = layer.self_attn
        hooks += [
            attention.o_proj.register_forward_pre_hook(keep),
            attention.v_proj.register_forward_hook(lambda _m, _i, out: values.append(out[0].detach())),
        ]
    whole = [*context, *ids]
    out = plain(input_ids=torch.tensor([whole]), output_attentions=True)
    for hook in hooks:
        hook.remove()
    total = torch.zeros((), dtype=torch.float64)
    for place in range(len(whole) - n_targets, len(whole)):
        logits = out.logits[0, place - 1]
        others = torch.cat([logits[: whole[place]], logits[whole[place] + 1 :]])
        total = total + logits[whole[place]] - others.logsumexp(dim=0)
    total.backward()
    found = torch.zeros(2, N_LAYERS, H, len(context), dtype=torch.float64)
    for index in range(N_LAYERS):
        weights = out.attentions[index][0].detach()
        given, gradient = inputs[index].detach()[0].view(-1, HQ, D), inputs[index].grad[0].view(-1, HQ, D)
        v = values[index].view(-1, H, D)
        for row in range(len(context), len(whole) - 1):
            for head in range(H):
                change = torch.zeros(len(context), dtype=torch.float64)
                for q in range(head * G, (head + 1) * G):
                    seen = weights[q, row, : len(context)]
                    apart = given[row, q] - v[: len(context), head]
                    change += seen * (apart @ gradient[row, q])
                    if row >= len(whole) - 1 - n_targets:
                        own = seen * norms[index, q, : len(context)]
                        found[0, index, head] = torch.maximum(found[0, index, head], own)
                found[1, index, head] = torch.maximum(found[1, index, head], change.abs())
    return found


@pytest.mark.parametrize("n_repeated", [512, 20])
def test_each_future_is_worth_what_loops_over_a_whole_pass_give(
    loaded: LoadedModel, plain: Any, monkeypatch: pytest.MonkeyPatch, n_repeated: int
) -> None:
    monkeypatch.setattr(utility_module, "N_REPEATED", n_repeated)
    made = torch.Generator().manual_seed(3)

    def drawn(n: int) -> list[int]:
        return torch.randint(len(LETTERS), (n,), generator=made).tolist()

    context, questions, answers = drawn(N_CONTEXT), [drawn(6), drawn(3), drawn(4)], [drawn(5), drawn(1), drawn(7)]
    seen, steps = SeenLayers(), list[tuple[int, int]]()
    held = prefill(loaded, context, {}, [seen.see], n_sequence=4 * N_CONTEXT)
    prompts = [Prompt((*context,), (*question,)) for question in questions]
    got = utilities(loaded, held, context, seen, prompts, answers, lambda *step: steps.append(step))
    norms = norms_of(plain, context)

    repeated = [
        worth(plain, norms, context, part.fed, part.end - part.start)
        for part in parts_of(loaded.tokenizer, context, n_repeated)
    ]
    assert len(repeated) == (1 if n_repeated == 512 else 3)
    asked = [
        worth(plain, norms, context, [*question, *answer], len(answer))
        for question, answer in zip(questions, answers, strict=True)
        if len(answer) > 1  # one token is the answer of a model that says nothing
    ]
    n_targets = min(N_CONTINUED, N_CONTEXT // 4)
    begun = N_CONTEXT - n_targets - 1
    continued = worth(plain, norms, context[:begun], context[begun:], n_targets)
    expected = torch.stack(repeated).amax(dim=0).prod(dim=0).sqrt()
    torch.testing.assert_close(got[0].double(), expected, atol=1e-7, rtol=2e-3)
    expected = torch.stack([each.prod(dim=0).sqrt() for each in asked]).mean(dim=0)
    torch.testing.assert_close(got[1].double(), expected, atol=1e-7, rtol=2e-3)
    torch.testing.assert_close(got[2][..., :begun].double(), continued.prod(dim=0).sqrt(), atol=1e-7, rtol=2e-3)
    assert got[2][..., begun:].isnan().all()
    n_steps = len(repeated) + 3
    assert steps == [(number, n_steps) for number in range(1, n_steps + 1)]


def test_a_calibration_records_it_beside_an_importance_that_stays_the_same(loaded: LoadedModel) -> None:
    protection = Protection(sink=4, window=1)
    alone = Target(None, protection, CalibrationReads(importance=True))
    both = Target(None, protection, CalibrationReads(importance=True, utility=True))
    told: list[int] = []
    (before,) = calibrate(loaded, {"x": alone}, [DOCUMENT], seed=0, report=silent)["x"]
    (after,) = calibrate(loaded, {"x": both}, [DOCUMENT], seed=0, report=lambda _what, done, _total: told.append(done))[
        "x"
    ]
    assert before.utility is None
    assert torch.equal(before.importance, after.importance)
    assert after.utility.shape == (3, N_LAYERS, H, after.protected.numel())
    assert bool((after.utility[:2] > 0).any(dim=-1).all())
    assert told == sorted(told)


UTILITY = {"x": Target(None, Protection(sink=4, window=1), CalibrationReads(utility=True))}


def test_a_model_that_says_nothing_has_no_utility(loaded: LoadedModel) -> None:
    silenced = replace(loaded, eos=frozenset(range(len(LETTERS))))
    with pytest.raises(UserError, match="answered 0 of 3 questions"):
        calibrate(silenced, UTILITY, [DOCUMENT], seed=0, report=silent)


def test_a_model_that_is_not_differentiated_is_refused_before_it_reads(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate_module, "prefill", lambda *_, **__: pytest.fail("a text that is read for nothing"))
    capped = replace(loaded, logit_options=("softcap",))
    with pytest.raises(UserError, match=r"tiny cannot be calibrated for a scorer that reads utilities: .* softcap"):
        calibrate(capped, UTILITY, [DOCUMENT], seed=0, report=silent)


@pytest.mark.parametrize("error", [RuntimeError("DefaultCPUAllocator: not enough memory"), ArithmeticError("NaN")])
def test_what_goes_wrong_in_the_gradients_is_one_sentence(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(utility_module, "margin_gradients", fail)
    with pytest.raises(UserError, match=f"worth to tiny could not be measured: .*{error}; give shorter texts"):
        calibrate(loaded, UTILITY, [DOCUMENT], seed=0, report=silent)
