"""The sign-flip test: were two configurations alike, each difference between them could as well be its opposite.

The statistic is the sum of the differences; its distribution under the hypothesis is over all 2^n choices of their
signs (Fisher 1935, The Design of Experiments, section 21). Samples that share a document change sign together.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from .arrays import Floats, Integers

GAUSSIAN_BOUND = 3.1787
"""For random signs e, numbers a with squares summing to 1, and every x: P(sum of e a >= x) <= c P(Z >= x), and this is
the smallest such c, 1 / (4 P(Z >= sqrt(2))), rounded up (Bentkus and Dzindzalieta 2015, Bernoulli 21(2), 1037-1060)."""

MOST_WORK = 1e8
"""Cosines raised to a power that the exact test of all pairs may cost; beyond that the bound serves."""

_MULTIPLES = 2.0 ** np.arange(9)
"""Of the t that would be best for a Gaussian sum."""

_MOST_ENUMERATED = 16
_MOST_VALUES = 256
_MOST_UNITS = 10_000


@dataclass(frozen=True)
class PairTests:
    """Sign-flip tests of all pairs of C configurations: P = C (C - 1) / 2.

    Attributes:
        a, b: [P], numbers of the configurations, a < b.
        difference: [P], the mean of a less that of b.
        p_value: [P], two-sided: exact, or where `is_bound` at least the exact one.
        is_bound: Whether the p-values are bounds.
    """

    a: Integers
    b: Integers
    difference: Floats
    p_value: Floats
    is_bound: bool


def all_pairs(contributions: Floats) -> PairTests:
    """Test every pair of configurations.

    Where the differences are multiples of one number (right or wrong, thirds), p-values are exact: binomial where all
    are of one size, otherwise from the characteristic function. Elsewhere, or where that would take too long, they are
    bounds: never more false positives, and a difference must be about a twentieth larger to be seen.

    Args:
        contributions: [C, D], what the samples of each document add to the mean of each configuration.
    """
    a, b = (index.astype(np.int64) for index in np.triu_indices(len(contributions), 1))
    means = contributions.sum(axis=1)
    difference: Floats = means[a] - means[b]
    units = whole_units(contributions)
    if units is not None:
        size = np.abs(units.sum(axis=1)[a] - units.sum(axis=1)[b])
        levels = int(np.ptp(units, axis=0).max(initial=0))
        if levels <= 1:
            return PairTests(a, b, difference, binomial_p(_squares(units)[a, b].astype(np.int64), size), False)
        n_frequencies = levels * units.shape[1]
        if len(a) * levels * n_frequencies <= MOST_WORK:
            return PairTests(a, b, difference, _lattice_p(_level_counts(units, a, b, levels), size), False)
    p_value = bound_p(_squares(contributions)[a, b], difference)
    near = np.flatnonzero((p_value < 0.5) & (p_value > 1e-4 / len(a)))  # others would not be judged differently
    if len(near) * contributions.shape[1] * len(_MULTIPLES) <= MOST_WORK:
        p_value[near] = np.minimum(p_value[near], chernoff_p(contributions[a[near]] - contributions[b[near]]))
    return PairTests(a, b, difference, p_value, True)


@dataclass(frozen=True)
class SignFlip:
    """The test of one pair.

    Attributes:
        p_value: Two-sided.
        n_drawn: How many choices of signs were drawn; None where p is exact. Drawn p-values are multiples of
            1 / (n_drawn + 1), which is the smallest.
    """

    p_value: float
    n_drawn: int | None


def one_pair(differences: Floats, n_drawn: int = 99_999, seed: int = 0) -> SignFlip:
    """Test one pair by its differences [D], one for each document.

    Exact for right and wrong answers and other multiples of one number, and where at most 16 differences are not 0;
    otherwise over drawn signs, the seen ones counted among them (Phipson and Smyth 2010, Statistical Applications in
    Genetics and Molecular Biology 9(1)).
    """
    differences = differences[np.abs(differences) > 1e-12]
    if not len(differences):
        return SignFlip(1.0, None)
    tests = all_pairs(np.stack([differences, np.zeros_like(differences)]))
    if not tests.is_bound:
        return SignFlip(float(tests.p_value[0]), None)
    seen = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    if len(differences) <= _MOST_ENUMERATED:
        sums = np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums + difference, sums - difference])
        return SignFlip(float((np.abs(sums) >= seen).mean()), None)
    rng = np.random.default_rng(seed)
    at_once = max(1, 4_000_000 // len(differences))
    n_extreme = 0
    for start in range(0, n_drawn, at_once):
        signs = rng.integers(0, 2, (min(at_once, n_drawn - start), len(differences)), dtype=np.int8)
        n_extreme += int((np.abs(2 * (signs @ differences) - differences.sum()) >= seen).sum())
    return SignFlip((1 + n_extreme) / (1 + n_drawn), n_drawn)


def whole_units(values: Floats) -> Integers | None:
    """The values as whole multiples of the largest number that allows it; None where they are not such or too many."""
    distinct = np.unique(values)
    scale = np.abs(distinct).max(initial=0)
    if not scale or len(distinct) > _MOST_VALUES:
        return None if scale else np.zeros(values.shape, dtype=np.int64)
    shares = [Fraction(float(value / scale)).limit_denominator(_MOST_UNITS) for value in distinct]
    denominator = lcm(*(share.denominator for share in shares))
    if denominator > _MOST_UNITS or np.abs(distinct / scale - [float(share) for share in shares]).max() > 1e-9:
        return None
    divisor = gcd(*(int(share * denominator) for share in shares))
    units: Integers = np.rint(values / scale * (denominator / divisor)).astype(np.int64)
    return units


def binomial_p(n: Integers, size: Integers) -> Floats:
    """P(|sum of n random signs| >= size): the sign test, which for right and wrong answers is McNemar's exact test."""
    from scipy.special import bdtr

    one_tail = bdtr((n - size) // 2, np.maximum(n, 1), 0.5)
    p_value: Floats = np.where(size > 0, np.minimum(1.0, 2 * one_tail), 1.0)
    return p_value


def bound_p(squares: Floats, difference: Floats) -> Floats:
    """An upper bound of P(|sum| >= |difference|) of random signs, given the sum of the squared summands."""
    from scipy.special import ndtr

    z = np.abs(difference) / np.sqrt(np.where(squares > 0, squares, np.inf))
    p_value: Floats = np.minimum(1.0, 2 * GAUSSIAN_BOUND * ndtr(-z))
    return p_value


def chernoff_p(differences: Floats) -> Floats:
    """Another upper bound of it, for differences [P, D]: 2 exp(-t |sum|) times the product of cosh(t difference).

    It holds for every t >= 0 (Chernoff 1952); the smallest of several is close to the exact p-value where nearly all
    differences have one sign.
    """
    sizes = np.abs(differences)
    total = np.abs(differences.sum(axis=1))
    start = total / np.maximum((sizes * sizes).sum(axis=1), np.finfo(float).tiny)
    smallest = np.zeros(len(sizes))
    for multiple in _MULTIPLES:
        t = start * multiple
        x = t[:, None] * sizes
        log_cosh = x + np.log1p(np.exp(-2 * x)) - np.log(2)
        smallest = np.minimum(smallest, log_cosh.sum(axis=1) - t * total)
    p_value: Floats = np.minimum(1.0, 2 * np.exp(smallest))
    return p_value


def _squares(values: Floats | Integers) -> Floats:
    """[C, C] sums of squared differences between rows; what is rounding alone becomes 0."""
    exact = values.astype(np.float64)
    norm = (exact * exact).sum(axis=1)
    total = norm[:, None] + norm[None, :]
    squares = total - 2 * (exact @ exact.T)
    squares[squares < 1e-12 * total] = 0.0
    rounded: Floats = np.rint(squares) if values.dtype.kind == "i" else squares
    return rounded


def _level_counts(units: Integers, a: Integers, b: Integers, levels: int) -> Floats:
    """[P, levels]: on how many documents the two of a pair differ by 1, 2, ... units."""
    counts = np.zeros((len(a), levels + 1))
    rows = np.arange(len(a))
    for document in units.T:  # a document at a time: all pairs at once would not fit into memory
        counts[rows, np.abs(document[a] - document[b])] += 1
    return counts[:, 1:]


def _lattice_p(counts: Floats, size: Integers) -> Floats:
    """P(|S| >= size) of S, a sum with random signs of `counts` [P, levels] summands of sizes 1, 2, ...

    S is a whole number of at most M, so its distribution is the inverse Fourier transform of its characteristic
    function, the product of cos(level x) ^ count, at N > 2 M points; N is odd so that no cosine is 0.
    """
    sizes = np.arange(1, counts.shape[1] + 1)
    n_points = 2 * int((counts @ sizes).max(initial=0)) + 1
    x = 2 * np.pi * np.arange(1, n_points // 2 + 1) / n_points
    cosines = np.cos(np.outer(sizes, x))
    transform = np.exp(counts @ np.log(np.abs(cosines)))
    transform *= 1 - 2 * ((counts @ (cosines < 0)) % 2)
    inside = 2 * np.maximum(size, 1) - 1  # the whole numbers of less than `size`
    kernel = np.sin(np.outer(inside, x / 2)) / np.sin(x / 2)
    p_value = 1 - (inside + 2 * (transform * kernel).sum(axis=1)) / n_points
    smallest = 2.0 ** (1 - counts.sum(axis=1))  # of all signs alike; below it there is rounding only
    clipped: Floats = np.where(size > 0, np.clip(p_value, np.minimum(1.0, smallest), 1.0), 1.0)
    return clipped
