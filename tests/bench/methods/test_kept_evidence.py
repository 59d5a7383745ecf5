"""What selections keep of evidence, against a count over heads in plain Python."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import evict_alone, read_context, select_kept
from lukv_bench.bench.methods.kept_evidence import NONE_KEPT, Span, kept_evidence
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.methods.schedule import parse_schedule
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import Kept

from ...tiny_model import make_model

SPANS = ((3, 9), (40, 41), (41, 60), (55, 70), (7, 7))


def brute(kept: Sequence[Kept], spans: Sequence[Span]) -> tuple[int, float, float, list[float]]:
    """Head by head, from the positions that each keeps."""
    present = [span for span in spans if span[0] < span[1]]
    tokens = {token for start, end in present for token in range(start, end)}
    shares: list[list[float]] = []
    halves = [0] * len(present)
    for layer in kept:
        offsets = layer.offsets.tolist()
        heads = [set(layer.positions[a:b].tolist()) for a, b in pairwise(offsets)]
        shares.append([len(head & tokens) / len(tokens) for head in heads])
        for place, (start, end) in enumerate(present):
            halves[place] += sum(len(head & {*range(start, end)}) >= (end - start) / 2 for head in heads)
    every = [share for layer in shares for share in layer]
    half = sum(n / len(every) for n in halves) / len(halves)
    return len(tokens), sum(every) / len(every), half, [sum(layer) / len(layer) for layer in shares]


def check(kept: Sequence[Kept], spans: Sequence[Span]) -> None:
    found = kept_evidence(kept, spans)
    n_tokens, share, half, layers = brute(kept, spans)
    assert found is not None
    assert found.n_tokens == n_tokens
    assert found.kept_share == pytest.approx(share, abs=1e-12)
    assert found.half_share == pytest.approx(half, abs=1e-12)
    assert found.layer_shares == pytest.approx(layers, abs=1e-12)


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=4))
def test_shares_of_any_selection(seed: int, places: list[tuple[int, int]]) -> None:
    draw = torch.Generator().manual_seed(seed)
    kept = [Kept.of_mask(torch.rand(1, 3, 26, generator=draw) < level) for level in (0.2, 0.6, 1.0)]
    spans = [(start, start + size) for start, size in places]
    if any(size for _, size in places):
        check(kept, spans)
    else:
        assert kept_evidence(kept, spans) == NONE_KEPT


def test_without_spans_there_is_nothing_to_tell() -> None:
    assert kept_evidence([Kept.of_mask(torch.ones(1, 2, 5, dtype=torch.bool))], ()) is None


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = make_model(Path(tmp_path_factory.mktemp("model")))
    return ready_model(str(folder), torch.device("cpu"), "float32")


def methods(schedule: str) -> list[Method]:
    budgets = [Budget(ratio=parse_ratio("0.6"))]
    names = ["uniform", "adakv"] if schedule == "one-shot" else ["uniform"]
    schedules = [parse_schedule(schedule)]
    return build_methods(names, ["keydiff"], budgets, None, None, False, schedules)


@pytest.mark.parametrize("schedule", ["one-shot", "block:32"])
def test_shares_of_what_methods_keep_alone_in_blocks_and_together(loaded: LoadedModel, schedule: str) -> None:
    ids = torch.randint(10, 3000, (90,), generator=torch.Generator().manual_seed(1)).tolist()
    for method in methods(schedule):
        kept = evict_alone(loaded, ids, method, 0, 100).selection.kept
        check(kept, SPANS)
        if schedule == "one-shot":
            context = read_context(loaded, ids, [method], 0, 100)
            together = select_kept(loaded, method, context, 0).kept
            assert kept_evidence(together, SPANS) == kept_evidence(kept, SPANS)
