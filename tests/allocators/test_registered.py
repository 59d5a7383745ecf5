"""Every allocator that is registered, a stranger's installed one included, keeps what the contract promises.

Read from the registry, with `tests/plugin_package` registered as if it were installed. An allocator that holds another
is tried around every one that holds none; one that fits a profile is given one fitted on made-up calibration. `check`
may refuse a budget; what it lets pass must be served.
"""

import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lukv_bench import UserError
from lukv_bench.allocators.base import AllocationRequest, Needs, check_counts, one_layer_each
from lukv_bench.bench.plugins.contract import inner_fields
from lukv_bench.bench.plugins.plugin import Plugin
from lukv_bench.bench.plugins.registry import build, describe_all
from lukv_bench.scorers.base import CalibrationDocument, Profile, Protection

Ask = Callable[..., AllocationRequest]
BUILT_IN = {
    *("full", "uniform", "lukv", "pyramidkv", "adakv", "global", "oracle", "cake", "zigzagkv", "entrokv", "headkv"),
    "duoattention",
}
MONOTONE = {
    name for each in ("uniform", "adakv", "global", "oracle", "duoattention") for name in (each, f"shuffled:of={each}")
}
"""Of those built in: what a larger budget never takes a slot from. Rounding may, in lukv and pyramidkv."""
CALIBRATED_TOKENS = 40


STRANGER = Path(__file__).resolve().parents[1] / "plugin_package"


@contextmanager
def stranger_registered() -> Iterator[None]:
    """A stranger's package on the path, for these tests alone, with what an installer writes of its entry points."""
    project = tomllib.loads((STRANGER / "pyproject.toml").read_text())["project"]
    before = list(sys.path)
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        groups = project["entry-points"].items()
        lines = [line for group, points in groups for line in (f"[{group}]", *map(" = ".join, points.items()))]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        sys.path[:0] = [folder, str(STRANGER)]
        try:
            yield
        finally:
            sys.path[:] = before


@pytest.fixture(scope="module", autouse=True)
def _stranger() -> Iterator[None]:
    with stranger_registered():
        yield


def registered() -> list[str]:
    """What can be typed after --allocator, with defaults; broken plugins left to the tests of the registry."""
    sound = [known for known in describe_all("allocator") if known.broken is None]
    plain = [known.name for known in sound if not any(argument.required for argument in known.arguments)]
    around = [
        f"{known.name}:{argument.name}={inner}"
        for known in sound
        for argument in known.arguments
        if argument.required and [argument.name] == [a.name for a in known.arguments if a.required]
        for inner in plain
    ]
    return plain + around


@cache
def built(spec: str) -> Plugin:
    """The registry reads all that is installed each time it is asked."""
    return build("allocator", spec)


def promises(spec: str) -> bool:
    return bool(getattr(built(spec).instance, "monotone", False))


with stranger_registered():
    EVERY = registered()
    PROMISING = [spec for spec in EVERY if promises(spec)]


@dataclass(frozen=True)
class Asked:
    """Sizes of a model and a context, and what its scores look like."""

    n_layers: int
    n_heads: int
    n_batch: int
    n_tokens: int
    protection: Protection
    scores: str
    seed: int


@st.composite
def askings(draw: st.DrawFn) -> Asked:
    return Asked(
        n_layers=draw(st.integers(1, 4)),
        n_heads=draw(st.integers(1, 4)),
        n_batch=draw(st.integers(1, 3)),
        n_tokens=draw(st.integers(1, 120)),
        protection=Protection(draw(st.integers(0, 5)), draw(st.integers(0, 5))),
        scores=draw(st.sampled_from(["distinct", "few values", "all equal"])),
        seed=draw(st.integers(0, 2**16)),
    )


@cache
def fitted(spec: str, n_layers: int, n_heads: int) -> Profile | None:
    """The profile that a plugin gets: its own fit, or that of the one it holds, on made-up calibration."""
    owners = list(built(spec).owners("allocator").values())
    if not owners:
        return None
    (owner,) = owners
    made = torch.Generator().manual_seed(0)
    shape = (n_layers, n_heads, CALIBRATED_TOKENS)
    strength = torch.rand(n_layers, n_heads, 1, generator=made) * 3 + 0.2
    importance = torch.rand(2, *shape, generator=made).pow(-strength)
    scores, replay = torch.rand(shape, generator=made), torch.rand(shape, generator=made)
    document = CalibrationDocument(scores, importance, Protection(4, 1).mask(shape[-1]), replay=replay)
    return Profile(owner.name, owner.instance.fit((document,)))


def request_of(ask: Ask, spec: str, asked: Asked, budget: int) -> AllocationRequest:
    sizes = {"n_layers": asked.n_layers, "n_heads": asked.n_heads, "n_batch": asked.n_batch}
    request = ask(budget, n_tokens=asked.n_tokens, protection=asked.protection, **sizes)
    drawn = torch.randn(*request.shape, asked.n_tokens, generator=torch.Generator().manual_seed(asked.seed))
    table = {"distinct": drawn, "few values": drawn.round(), "all equal": torch.zeros_like(drawn)}[asked.scores]
    needs = built(spec).instance.needs
    profile = fitted(spec, asked.n_layers, asked.n_heads)
    future = table.roll(1, dims=-1).clamp_min(0) if needs is Needs.FUTURE else None
    scores = None if needs in (Needs.NOTHING, Needs.MEASURES) else table
    measures = torch.stack([table.mean(-1), table.amax(-1)], dim=-1).abs() if needs is Needs.MEASURES else None
    return replace(request, scores=scores, profile=profile, seed=asked.seed, measures=measures, future=future)


def parts_of(allocator: Any, request: AllocationRequest) -> list[AllocationRequest]:
    return one_layer_each(request) if allocator.needs is Needs.LAYER_SCORES else [request]


def served(allocator: Any, request: AllocationRequest) -> Tensor | None:
    """Counts that the validator passed; None where the allocator refuses the budget beforehand."""
    parts, check = parts_of(allocator, request), getattr(allocator, "check", None)
    try:
        for part in parts if check is not None else ():
            check(replace(part, scores=None, profile=None, measures=None, future=None))
    except UserError:
        return None
    counts = [allocator.allocate(part).cpu() for part in parts]
    for part, made in zip(parts, counts, strict=True):
        check_counts(made, part)
    return torch.cat(counts)


def test_all_that_are_built_in_are_looked_at() -> None:
    assert set(EVERY) >= BUILT_IN
    assert {f"shuffled:of={name}" for name in BUILT_IN} <= set(EVERY)
    assert {"headshare", "shuffled:of=headshare"} <= set(EVERY), "and the stranger's"
    assert all(list(inner_fields(type(built(spec).instance))) for spec in EVERY if ":" in spec)


@pytest.mark.parametrize("spec", EVERY)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(askings(), st.data())
def test_any_budget_is_kept_to_the_slot_between_the_protected_tokens_and_all(
    ask: Ask, spec: str, asked: Asked, data: st.DataObject
) -> None:
    empty = request_of(ask, spec, asked, 0)
    most = empty.n_heads * empty.n_tokens
    request = replace(empty, budget=data.draw(st.integers(empty.n_heads * empty.n_protected, most) | st.just(most)))
    allocator = built(spec).instance
    counts = served(allocator, request)
    assume(counts is not None)
    assert counts is not None
    assert counts.sum(dim=(0, 2)).tolist() == [request.budget] * request.n_batch
    assert int(counts.min()) >= request.n_protected
    assert int(counts.max()) <= request.n_tokens
    assert torch.equal(counts, served(allocator, request)), "the same request gives the same counts"
    for b in range(request.n_batch):
        scores = None if request.scores is None else request.scores[:, b : b + 1]
        measures = None if request.measures is None else request.measures[:, b : b + 1]
        future = None if request.future is None else request.future[:, b : b + 1]
        one = replace(request, n_batch=1, scores=scores, measures=measures, future=future)
        alone = served(allocator, one)
        assert alone is not None
        assert torch.equal(counts[:, b : b + 1], alone), "a sequence keeps what it would keep by itself"


@pytest.mark.parametrize("spec", EVERY)
def test_the_protected_alone_and_everything_are_served_or_refused_beforehand(ask: Ask, spec: str) -> None:
    asked = Asked(3, 2, 2, 50, Protection(4, 1), "distinct", 0)
    allocator = built(spec).instance
    for each in (5, 50):
        counts = served(allocator, request_of(ask, spec, asked, 3 * 2 * each))
        assert counts is None or (counts == each).all()
    assert counts is not None, "keeping everything is never refused"


def few_and_many(ask: Ask, spec: str, asked: Asked, data: st.DataObject) -> tuple[Tensor, Tensor]:
    """Counts under a budget and under one that is no smaller, of whole tokens a head, as runs ask for."""
    empty = request_of(ask, spec, asked, 0)
    each = st.integers(empty.n_protected, empty.n_tokens)
    smaller, larger = sorted((data.draw(each), data.draw(each)))
    allocator = built(spec).instance
    few = served(allocator, replace(empty, budget=empty.n_heads * smaller))
    many = served(allocator, replace(empty, budget=empty.n_heads * larger))
    assume(few is not None)
    assert few is not None
    assert many is not None
    return few, many


@pytest.mark.parametrize("spec", PROMISING)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(askings(), st.data())
def test_a_larger_budget_takes_a_slot_from_no_head_where_that_is_promised(
    ask: Ask, spec: str, asked: Asked, data: st.DataObject
) -> None:
    few, many = few_and_many(ask, spec, asked, data)
    assert (many >= few).all()


@pytest.mark.parametrize("spec", [spec for spec in EVERY if spec.endswith("pyramidkv")])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(askings(), st.data())
def test_pyramidkv_s_rounding_takes_one_slot_of_a_head_at_most(
    ask: Ask, spec: str, asked: Asked, data: st.DataObject
) -> None:
    few, many = few_and_many(ask, spec, asked, data)
    assert (many >= few - 1).all()


def test_what_promises_to_be_monotone_is_what_is_told() -> None:
    ours = {*BUILT_IN, *(f"shuffled:of={name}" for name in BUILT_IN)}
    assert set(PROMISING) & ours == MONOTONE
