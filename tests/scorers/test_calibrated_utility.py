"""Calibrated utility: its maps against numpy's least squares and scikit-learn's isotonic regression."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from lukv_bench import UserError
from lukv_bench.bench.plugins.registry import build
from lukv_bench.scorers.base import CalibrationDocument, LayerView, Profile
from lukv_bench.scorers.calibrated_features import scalar_features
from lukv_bench.scorers.calibrated_map import interpolate, isotonic_knots
from lukv_bench.scorers.calibrated_utility import CalibratedUtility

K, N_LAYERS, H, HIDDEN, D = 3, 2, 2, 6, 4
DRAWN = torch.Generator().manual_seed(5)
TRUTH = 0.4 * torch.randn(K, N_LAYERS, H, HIDDEN, generator=DRAWN)
N_LAST = 5
"""Tokens that are not known to be of use to a document's end."""


def document(n_tokens: int, noise: float, seed: int) -> CalibrationDocument:
    """Utilities whose logarithm is linear in the inputs but for noise; those of each future in a unit of its own."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(N_LAYERS, n_tokens, HIDDEN, generator=generator) + 1
    keys, values = torch.randn(2, N_LAYERS, H, n_tokens, D, generator=generator)
    logs = torch.einsum("klhd,ltd->klht", TRUTH, hidden)
    units = torch.tensor([1, 1e-3, 50.0]).view(K, 1, 1, 1)
    utility = (logs + noise * torch.randn(logs.shape, generator=generator)).exp() * units
    utility[2, ..., -N_LAST:] = torch.nan
    protected = torch.zeros(n_tokens, dtype=torch.bool)
    return CalibrationDocument(None, None, protected, keys=keys, values=values, hidden_states=hidden, utility=utility)


def seen(one: CalibrationDocument, layer: int, arrays: dict[str, Tensor]) -> LayerView:
    profile = Profile("calibrated_utility", arrays)
    keys, values, hidden = (each[layer : layer + 1] for each in (one.keys, one.values, one.hidden_states))
    return LayerView(layer, keys, values, hidden_states=hidden, profile=profile)


def predictor(rows: list[np.ndarray], targets: list[np.ndarray], ridge: float, every: np.ndarray, level: float) -> Any:
    """A prediction by least squares with the penalty as further rows, of features standardised over every text."""
    mean, scale = every.mean(axis=0), every.std(axis=0, ddof=1)
    penalty = np.sqrt(ridge) * np.eye(every.shape[1])
    system = np.vstack([(np.vstack(rows) - mean) / scale, penalty])
    weights = np.linalg.lstsq(
        system,
        np.concatenate([*targets, np.zeros(len(penalty))])
        - np.pad(np.full(sum(map(len, targets)), level), (0, len(penalty))),
        rcond=None,
    )[0]
    return lambda other: (other - mean) / scale @ weights + level


def features(one: CalibrationDocument, layer: int, head: int, n: int, longest: int) -> np.ndarray:
    """Of a document that ends after n tokens."""
    scalars = scalar_features(one.keys[layer, None, [head], :n], one.values[layer, None, [head], :n], longest)[0, 0]
    return torch.cat([one.hidden_states[layer, :n], scalars], dim=-1).double().numpy()


def test_its_score_is_the_expected_utility_in_units_of_each_future() -> None:
    documents = [document(n, 0.7, seed) for seed, n in enumerate((90, 61, 75))]
    scorer = CalibratedUtility(ridge=3.0)
    arrays = dict(scorer.fit(tuple(documents)))
    scorer.check_profile(arrays, N_LAYERS, H)
    assert float(arrays["longest"]) == 90
    other = document(40, 0.7, 9)
    expected = np.zeros((N_LAYERS, H, 40))
    for k in range(K):
        known = [one.keys.shape[2] - (N_LAST if k == 2 else 0) for one in documents]
        every = [one.utility[k, ..., 4:n].flatten() for one, n in zip(documents, known, strict=True)]
        unit = 0.3 * np.quantile(torch.cat(every).double().numpy(), 0.7)
        assert float(arrays["unit"][k]) == pytest.approx(unit, rel=1e-6)
        for layer, head in product(range(N_LAYERS), range(H)):
            rows = [features(one, layer, head, n, 90)[4:] for one, n in zip(documents, known, strict=True)]
            worth = [one.utility[k, layer, head, 4:n].double().numpy() for one, n in zip(documents, known, strict=True)]
            logs = [np.log(each + unit) for each in worth]
            whole, level = np.vstack(rows), float(np.concatenate(logs).mean())
            left_out = [
                predictor(rows[:i] + rows[i + 1 :], logs[:i] + logs[i + 1 :], 3.0, whole, level)(rows[i])
                for i in range(3)
            ]
            x, y = np.concatenate(left_out), np.concatenate(worth) / unit
            knots = np.sort(x)[len(x) - np.geomspace(1, len(x), 48).round().astype(int)[::-1]]
            isotonic = IsotonicRegression(out_of_bounds="clip").fit(x, y).predict(knots)
            predicted = predictor(rows, logs, 3.0, whole, level)(features(other, layer, head, 40, 90))
            expected[layer, head] += np.interp(predicted, knots, isotonic)
            beyond = 1 + np.maximum(predicted - knots[-1], 0)
            expected[layer, head] += 0.01 * np.exp(np.minimum(predicted, knots[-1])) * beyond / unit
    for layer in range(N_LAYERS):
        got = scorer.score(seen(other, layer, arrays))
        assert got.dtype == torch.float32
        np.testing.assert_allclose(got[0].double().numpy(), expected[layer], rtol=2e-3)


def test_it_ranks_other_tokens_by_what_they_will_be_worth() -> None:
    scorer = CalibratedUtility(ridge=1e-6)
    arrays = dict(scorer.fit((document(400, 0.0, 1), document(300, 0.0, 2))))
    unseen = document(120, 0.0, 3)
    worth = (unseen.utility[:2] / arrays["unit"][:2, None, None, None]).sum(dim=0)
    worth += torch.einsum("lhd,ltd->lht", TRUTH[2], unseen.hidden_states).exp() * 50 / arrays["unit"][2]
    for layer in range(N_LAYERS):
        score = scorer.score(seen(unseen, layer, arrays))[0]
        for head in range(H):
            ranks = [np.argsort(np.argsort(each.numpy())) for each in (score[head], worth[layer, head])]
            assert np.corrcoef(*ranks)[0, 1] > 0.99


def test_knots_follow_the_isotonic_fit_and_lie_closest_at_the_top() -> None:
    made = torch.Generator().manual_seed(2)
    predicted = torch.randn(500, generator=made, dtype=torch.float64)
    worth = predicted.exp() * torch.rand(500, generator=made, dtype=torch.float64)
    places, fit = isotonic_knots(predicted, worth, 30)
    assert places[0] == predicted.min()
    assert places[-1] == predicted.max()
    assert bool((places.diff() >= 0).all() and (fit.diff() >= 0).all())
    assert int((places > predicted.median()).sum()) > 20
    oracle = IsotonicRegression().fit(predicted.numpy(), worth.numpy())
    np.testing.assert_allclose(fit.numpy(), oracle.predict(places.numpy()), rtol=1e-9)


def test_interpolation_is_numpy_s_and_constant_beyond_the_knots() -> None:
    made = torch.Generator().manual_seed(2)
    knots = torch.randn(2, 9, generator=made).sort(dim=-1).values
    knots[:, 4] = knots[:, 5]  # tokens may be predicted alike
    worth = torch.rand(2, 9, generator=made).sort(dim=-1).values
    places = 3 * torch.randn(2, 50, generator=made)
    got = interpolate(places, knots, worth)
    for row in range(2):
        expected = np.interp(places[row].numpy(), knots[row].numpy(), worth[row].numpy())
        np.testing.assert_allclose(got[row].numpy(), expected, rtol=1e-5)


def test_positions_beyond_the_calibration_s_longest_text_count_as_its_first() -> None:
    keys, values = torch.randn(2, 1, H, 50, D, generator=torch.Generator().manual_seed(1))
    distance = scalar_features(keys, values, 20)[0, 0, :, 0]
    assert torch.equal(distance[:31], distance[:1].expand(31))
    assert bool((distance[30:].diff() < 0).all())


def test_the_last_tokens_are_ranked_by_their_distance_to_a_future_that_comes_behind_them() -> None:
    """Also where the calibration's last tokens were themselves the future."""
    documents = []
    for seed in range(3):
        one = document(160, 0.1, seed)
        n = torch.tensor([160, 160, 160 - N_LAST]).view(K, 1, 1, 1)
        near = (n - torch.arange(160)).clamp_min(1).float() ** -2  # worth more the closer to the future
        documents.append(
            replace(one, utility=torch.where(one.utility.isnan(), torch.nan, near.expand(K, N_LAYERS, H, -1)))
        )
    scorer = CalibratedUtility(ridge=0.01)
    arrays = dict(scorer.fit(tuple(documents)))
    score = scorer.score(seen(document(160, 0.1, 9), 0, arrays))[0]
    last = score[:, -20:]
    assert bool((last[:, -1] > score[:, :-1].amax(dim=-1)).all())
    assert bool((last[:, 10:].mean(dim=-1) > 2 * last[:, :10].mean(dim=-1)).all())


def test_no_two_tokens_are_worth_the_same_above_all_that_were_learned_from() -> None:
    scorer = CalibratedUtility(ridge=1e-6)
    arrays = dict(scorer.fit((document(100, 0.2, 1), document(100, 0.2, 2))))
    one = document(30, 0.0, 3)
    grown = TRUTH[0, 0, 0] * torch.arange(100.0, 130.0)[:, None]  # ever further in the direction of more utility
    score = scorer.score(seen(replace(one, hidden_states=grown.expand(N_LAYERS, -1, -1)), 0, arrays))[0, 0]
    assert bool(score.isfinite().all())
    assert len(score.unique()) == 30


def test_a_single_document_is_learned_from_in_halves() -> None:
    one = document(200, 0.5, 1)
    arrays = dict(CalibratedUtility().fit((one,)))
    CalibratedUtility().check_profile(arrays, N_LAYERS, H)
    assert not torch.equal(arrays["worth"], dict(CalibratedUtility().fit((one, one)))["worth"])


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("knots", torch.zeros(3, 1, H, 48), "2 layers"),
        ("knots", torch.zeros(3, N_LAYERS, H), "2 layers"),
        ("maps", torch.zeros(3, N_LAYERS, H, 10), "read nothing"),
        ("knots", torch.arange(48.0).flip(0).expand(3, N_LAYERS, H, 48), "do not ascend"),
        ("worth", torch.arange(48.0).flip(0).expand(3, N_LAYERS, H, 48), "do not ascend"),
        ("worth", torch.arange(48.0).sub(1).expand(3, N_LAYERS, H, 48), "at least 0"),
        ("worth", torch.zeros(3, N_LAYERS, H, 47), "with the worth of each"),
        ("unit", torch.zeros(3), "above 0"),
        ("longest", torch.zeros(1), "no token"),
        ("levels", torch.zeros(3, N_LAYERS, H, dtype=torch.int64), "with a point"),
        ("other", torch.zeros(1), "not knots, levels"),
    ],
)
def test_a_profile_that_cannot_rank_is_refused(name: str, array: Tensor, message: str) -> None:
    scorer = CalibratedUtility()
    arrays = dict(scorer.fit((document(60, 0.5, 1), document(60, 0.5, 2))))
    with pytest.raises(ValueError, match=message):
        scorer.check_profile(arrays | {name: array}, N_LAYERS, H)


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_utilities_that_say_nothing_are_refused(value: float) -> None:
    one = document(60, 0.5, 1)
    with pytest.raises(ValueError, match=r"worth nothing|not finite"):
        CalibratedUtility().fit((replace(one, utility=torch.where(one.utility.isnan(), torch.nan, value)),))


@pytest.mark.parametrize("ridge", ["0", "-1"])
def test_a_penalty_that_is_none_is_refused(ridge: str) -> None:
    with pytest.raises(UserError, match="above 0"):
        build("scorer", f"calibrated_utility:ridge={ridge}")
