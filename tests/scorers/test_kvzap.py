"""KVzap's fit against numpy's least squares, and its ranking of tokens whose replay it was not shown."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lukv_bench import UserError
from lukv_bench.bench.plugins.registry import build
from lukv_bench.scorers.base import CalibrationDocument, LayerView, Profile
from lukv_bench.scorers.kvzap import KVzap

N_LAYERS, H, HIDDEN, D = 3, 2, 12, 4
DRAWN = torch.Generator().manual_seed(5)
TRUTH = 0.2 * torch.randn(N_LAYERS, H, HIDDEN, generator=DRAWN)


def document(n_tokens: int, noise: float, seed: int) -> CalibrationDocument:
    """Scores whose logarithm is linear in the inputs but for noise; the first three tokens are not repeated."""
    generator = torch.Generator().manual_seed(seed)
    inputs = 3 * torch.randn(N_LAYERS, n_tokens, HIDDEN, generator=generator) + 1
    logs = TRUTH @ inputs.mT - 4 + noise * torch.randn(N_LAYERS, H, n_tokens, generator=generator)
    replay = logs.exp()
    replay[..., :3] = 0
    protected = torch.zeros(n_tokens, dtype=torch.bool)
    return CalibrationDocument(None, None, protected, hidden_states=inputs, replay=replay)


def scores(scorer: KVzap, arrays: dict[str, Tensor], inputs: Tensor, layer: int) -> Tensor:
    empty = torch.zeros(1, H, inputs.shape[0], D)
    view = LayerView(layer, empty, empty, hidden_states=inputs[None], profile=Profile("kvzap", arrays))
    return scorer.score(view)


@pytest.mark.parametrize("ridge", [0.001, 100.0])
def test_it_predicts_what_least_squares_in_numpy_predicts(ridge: float) -> None:
    documents = tuple(document(n, 0.5, seed) for seed, n in enumerate((70, 41)))
    scorer = KVzap(ridge=ridge)
    arrays = dict(scorer.fit(documents))
    scorer.check_profile(arrays, N_LAYERS, H)
    other = document(9, 0.5, 7).hidden_states
    assert other is not None
    for layer in range(N_LAYERS):
        rows = np.concatenate([each.hidden_states[layer, 3:].double().numpy() for each in documents])
        targets = np.concatenate([each.replay[layer, :, 3:].double().log().numpy().T for each in documents])
        mean, scale = rows.mean(axis=0), rows.std(axis=0, ddof=1)
        ones = np.ones((len(rows), 1))
        penalty = np.hstack([np.sqrt(ridge) * np.eye(HIDDEN), np.zeros((HIDDEN, 1))])
        system = np.vstack([np.hstack([(rows - mean) / scale, ones]), penalty])
        solved = np.linalg.lstsq(system, np.vstack([targets, np.zeros((HIDDEN, H))]), rcond=None)[0]
        expected = np.hstack([(other[layer].double().numpy() - mean) / scale, np.ones((9, 1))]) @ solved
        got = scores(scorer, arrays, other[layer], layer)
        assert got.dtype == torch.float32
        assert got.shape == (1, H, 9)
        np.testing.assert_allclose(got[0].double().numpy(), expected.T, rtol=2e-4, atol=2e-4)


def test_it_ranks_other_tokens_as_their_replay_would() -> None:
    scorer = KVzap(ridge=1e-9)
    arrays = dict(scorer.fit((document(200, 0.0, 1),)))
    unseen = document(60, 0.0, 2)
    assert unseen.hidden_states is not None
    assert unseen.replay is not None
    for layer in range(N_LAYERS):
        got = scores(scorer, arrays, unseen.hidden_states[layer], layer)[0, :, 3:]
        assert torch.equal(got.argsort(), unseen.replay[layer, :, 3:].argsort())


def test_a_profile_of_another_shape_is_refused() -> None:
    arrays = dict(KVzap().fit((document(40, 0.5, 1),)))
    with pytest.raises(ValueError, match="4 layers with 2 KV heads"):
        KVzap().check_profile(arrays, 4, H)
    with pytest.raises(ValueError, match="with a point"):
        KVzap().check_profile({"weights": arrays["weights"].long(), "bias": arrays["bias"]}, N_LAYERS, H)
    with pytest.raises(ValueError, match="weights and bias"):
        KVzap().check_profile({"curve": arrays["bias"]}, N_LAYERS, H)


@pytest.mark.parametrize("ridge", ["0", "-1", "nan", "inf"])
def test_a_penalty_that_is_none_is_refused(ridge: str) -> None:
    with pytest.raises(UserError, match="ridge"):
        build("scorer", f"kvzap:ridge={ridge}")
