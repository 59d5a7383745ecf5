"""One cell measured on a tiny model: the gate, the repeats, the bytes and the largest batch."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch

from lukv_bench.bench.cost import instruments
from lukv_bench.bench.cost.batch import BatchLimit
from lukv_bench.bench.cost.gate import _logits, check_gate
from lukv_bench.bench.cost.measure import measure
from lukv_bench.bench.cost.memory import memory_meter
from lukv_bench.bench.cost.request import CostSettings, Failed, Measured
from lukv_bench.bench.engine.blocks import BlockPrefill
from lukv_bench.bench.engine.eviction_times import EvictionTimes
from lukv_bench.bench.engine.layouts import SHARED
from lukv_bench.bench.engine.masked_blocks import read_masked
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods import blockwise, eviction
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.method import build_methods
from lukv_bench.bench.methods.schedule import Schedule
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run.unit import Unit, UnitConfiguration
from lukv_bench.kernels.ragged_store import RaggedStore

from ...tiny_model import D, H, L, make_model

N_CONTEXT, N_QUESTION, N_NEW = 200, 5, 6
SLOT = 2 * D * 4
"""Bytes of a key and a value in float32."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return ready_model(str(make_model(tmp_path_factory.mktemp("tiny"))), torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def unit() -> Callable[..., Unit]:
    def made(allocator: str, block: int | None = None) -> Unit:
        budgets, schedules = [Budget(ratio=parse_ratio("0.75"))], [Schedule(block)]
        (method,) = build_methods([allocator], ["keydiff"], budgets, None, None, False, schedules)
        ids = (torch.arange(N_CONTEXT + N_QUESTION) * 97 % 3000 + 100).tolist()
        return Unit(
            sample_id="s",
            context=tuple(ids[:N_CONTEXT]),
            question=tuple(ids[N_CONTEXT:]),
            n_sequence=N_CONTEXT + N_QUESTION + N_NEW - 1,
            stop=Stop(N_NEW, frozenset()),
            seed=0,
            configurations=(UnitConfiguration("c", method),),
        )

    return made


@pytest.mark.parametrize("allocator", ["full", "uniform", "global"])
def test_a_cell_is_measured_whole(loaded: LoadedModel, unit: Callable[..., Unit], allocator: str) -> None:
    said: list[str] = []
    measured = measure(loaded, unit(allocator), CostSettings(3, N_NEW), said.append)
    assert isinstance(measured, Measured)
    assert said == ["gate", "warm-up", "repeat 1 of 3", "repeat 2 of 3", "repeat 3 of 3"]
    assert measured.gate.error < 1e-4 < measured.gate.tolerance
    assert measured.gate.n_tokens == N_QUESTION + N_NEW - 1
    assert len(measured.repeats) == 3
    for repeat in measured.repeats:
        assert len(repeat.token_s) == N_NEW - 1
        steps = [repeat.prefill_s, repeat.score_s, repeat.allocate_s, repeat.select_s, repeat.compact_s]
        assert all(step is not None and step >= 0 for step in steps)
        assert 0 < sum(filter(None, steps)) + repeat.first_token_s + sum(repeat.token_s) < repeat.wall_s
        assert (repeat.score_s == 0) == (allocator == "full")
        assert repeat.peak_bytes is not None
        assert repeat.energy_j is None
    sizes, room = measured.sizes, N_QUESTION + N_NEW - 1
    kept = L * H * (N_CONTEXT if allocator == "full" else N_CONTEXT // 4)
    assert (sizes.kv_tokens_full, sizes.kv_tokens_kept) == (L * H * N_CONTEXT, kept)
    assert (sizes.kv_bytes_full, sizes.kv_bytes_kept) == (L * H * N_CONTEXT * SLOT, kept * SLOT)
    assert sizes.kv_bytes_allocated == (kept + L * H * room) * SLOT
    assert (sizes.footprint == 1) == (allocator == "full")
    assert measured.batch_rows is None
    assert measured.clock == "monotonic clock"


def test_eviction_during_the_prefill_has_the_smaller_footprint(loaded: LoadedModel, unit: Callable[..., Unit]) -> None:
    footprints = []
    for allocator in ("uniform", "global"):
        measured = measure(loaded, unit(allocator), CostSettings(1, N_NEW), lambda _: None)
        assert isinstance(measured, Measured)
        footprints.append(measured.sizes.footprint)
    assert footprints[0] < footprints[1] < 1


def test_nothing_is_timed_when_the_evicted_cache_computes_something_else(
    loaded: LoadedModel, unit: Callable[..., Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, said = eviction.compact, list[str]()

    def spoilt(keys: Any, values: Any, kept: Any, room: int, **named: Any) -> Any:
        store = real(keys, values, kept, room, **named)
        store.kv.values[3] = 0  # one slot of hundreds
        return store

    monkeypatch.setattr(eviction, "compact", spoilt)
    result = measure(loaded, unit("uniform"), CostSettings(2, N_NEW), said.append)
    assert said == ["gate"]
    assert isinstance(result, Failed)
    assert result.error.startswith("GateError: the evicted cache's logits differ from the masked full cache's by ")
    assert result.gate is not None
    assert result.gate.error > result.gate.tolerance


BLOCK = 32


@pytest.mark.parametrize("allocator", ["full", "uniform", "pyramidkv"])
def test_a_block_schedule_is_measured_whole(loaded: LoadedModel, unit: Callable[..., Unit], allocator: str) -> None:
    measured = measure(loaded, unit(allocator, BLOCK), CostSettings(2, N_NEW), lambda _: None)
    assert isinstance(measured, Measured)
    assert measured.gate.error < 1e-4
    assert measured.gate.n_tokens == N_QUESTION + N_NEW - 1
    for repeat in measured.repeats:
        steps = [repeat.prefill_s, repeat.score_s, repeat.allocate_s, repeat.select_s, repeat.compact_s]
        assert all(step is not None and step >= 0 for step in steps)
        assert 0 < sum(filter(None, steps)) + repeat.first_token_s + sum(repeat.token_s) < repeat.wall_s
        assert ([step == 0 for step in steps[1:4]]) == [allocator == "full"] * 3
    sizes, one_shot = measured.sizes, measure(loaded, unit(allocator), CostSettings(1, N_NEW), lambda _: None)
    assert isinstance(one_shot, Measured)
    assert (sizes.kv_tokens_kept, sizes.kv_bytes_kept) == (one_shot.sizes.kv_tokens_kept, one_shot.sizes.kv_bytes_kept)
    assert sizes.kv_bytes_full == one_shot.sizes.kv_bytes_full
    assert sizes.kv_bytes_allocated == one_shot.sizes.kv_bytes_allocated
    if allocator != "full":
        assert sizes.footprint < one_shot.sizes.footprint


def test_what_a_block_schedule_holds_is_counted_over_time(loaded: LoadedModel, unit: Callable[..., Unit]) -> None:
    evicted = eviction.evict_alone(loaded, unit("uniform", BLOCK).context, *_method(unit), 0, N_CONTEXT + 9)
    before, expected = 0, []
    for start in range(0, N_CONTEXT, BLOCK):
        n = min(BLOCK, N_CONTEXT - start)
        expected += [H * (L * before + (layer + 1) * n) for layer in range(L)]
        before = min(before + n, N_CONTEXT // 4)
    assert [*evicted.held] == expected


def _method(unit: Callable[..., Unit]) -> list[Any]:
    return [unit("uniform", BLOCK).configurations[0].method]


def test_the_oracle_of_blocks_is_another_than_that_of_one_shot(loaded: LoadedModel, unit: Callable[..., Unit]) -> None:
    """A cache of which everything is hidden at the end is no oracle for blocks: its keys are of another reading."""
    one = unit("uniform", BLOCK)
    times = EvictionTimes.of(loaded, N_CONTEXT)
    record = blockwise.evict_in_blocks(loaded, one.context, *_method(unit), BLOCK, 0, one.n_sequence, {}, times=times)
    ours = record.cache
    context = prefill(loaded, one.context, {}, n_sequence=one.n_sequence)
    late = SHARED.build(context, [record.selection.kept], 20)
    request = BlockPrefill(loaded, one.context, one.n_sequence, BLOCK, None)
    blocks = read_masked(request, times)
    assert [kept.mask.tolist() for kept in record.selection.kept] == [
        store.positions().mask.tolist() for store in blocks.stores
    ]
    whole = read_masked(request, EvictionTimes.of(loaded, N_CONTEXT))
    logits = [_logits(loaded, cache, one.question) for cache in (ours, blocks, late, whole)]
    errors = [float((other - logits[0]).abs().max() / logits[0].std()) for other in logits[1:]]
    assert errors[0] < 1e-4
    assert min(errors[1:]) > 1e-2


def test_a_fault_in_the_blocks_is_refused(
    loaded: LoadedModel, unit: Callable[..., Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One value of one slot, lost when the third block is freed."""
    real, calls = RaggedStore.keep, list[int]()

    def spoilt(self: RaggedStore, *given: Any) -> None:
        real(self, *given)
        calls.append(1)
        if len(calls) == 3 * L:
            self.kv.values[3] = 0

    monkeypatch.setattr(RaggedStore, "keep", spoilt)
    gate = check_gate(loaded, unit("uniform", BLOCK))
    assert not gate.passed


def test_rows_of_a_block_schedule_have_a_copy_each(loaded: LoadedModel, unit: Callable[..., Unit]) -> None:
    one = unit("uniform", BLOCK)
    alone = eviction.evict_alone(loaded, one.context, *_method(unit), 0, one.n_sequence)
    three = eviction.evict_alone(loaded, one.context, *_method(unit), 0, one.n_sequence, n_rows=3)
    assert three.cache.allocated_bytes == 3 * alone.cache.allocated_bytes
    answers = [row.ids for row in instruments.decode(loaded, three.cache, [one.question] * 3, one.stop).rows]
    assert answers == [instruments.decode(loaded, alone.cache, [one.question], one.stop).rows[0].ids] * 3


def test_the_largest_batch_is_estimated_then_measured_and_stays_within_the_limit(
    loaded: LoadedModel, unit: Callable[..., Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory as bytes of rows that live: the meter of a machine on which nothing else moves."""
    row, model, built = 1000, 10**6, list[int]()

    class Meter:
        how = "rows"

        def in_use(self) -> int:
            return model

        def start(self) -> None:
            built.clear()

        def peak(self) -> int:
            return model + 5000 + row * sum(built) + 7 * sum(built) ** 2  # more than the stores alone

        def peak_reserved(self) -> None:
            return None

    real = instruments.decode

    def counting(loaded: Any, cache: Any, *more: Any) -> Any:
        built.append(len(cache.n_seen))
        return real(loaded, cache, *more)

    monkeypatch.setattr(instruments, "memory_meter", lambda _: Meter())
    monkeypatch.setattr(instruments, "decode", counting)
    measured = measure(loaded, unit("uniform"), CostSettings(2, N_NEW, max_memory=400_000), lambda _: None)
    assert isinstance(measured, Measured)
    tried = measured.details["tried"]
    assert measured.batch_rows == tried[-1]["rows"] > 1
    assert tried[-1]["bytes"] <= 400_000
    assert all(one["bytes"] > 400_000 for one in tried[:-1])
    assert len(measured.batch) == 2
    assert all(len(repeat.token_s) == N_NEW - 1 for repeat in measured.batch)
    small = measure(loaded, unit("uniform"), CostSettings(1, N_NEW, max_memory=10), lambda _: None)
    assert isinstance(small, Measured)
    assert (small.batch_rows, small.batch) == (None, ())
    assert "one row alone takes" in small.details["no_batch"]


def test_an_estimate_counts_rows_beside_what_one_row_needs() -> None:
    limit = BatchLimit(max_memory=1000, model_bytes=50, row_bytes=100, alone_bytes=300)
    assert limit.estimate == 8
    assert limit.fewer(8, peak=50 + 2000) == 4
    assert limit.fewer(8, peak=50 + 1001) == 7
    assert limit.fewer(2, peak=50 + 10**6) == 1


def test_the_peak_of_a_process_is_that_of_the_block(cannot: Callable[[str], NoReturn]) -> None:
    meter = memory_meter(torch.device("cpu"))
    if meter is None:
        cannot("this system does not tell a process's peak")
    before = meter.in_use()
    meter.start()
    big = torch.ones(2**26)  # 256 MiB
    del big
    assert meter.peak() - before > 250 * 2**20
    assert meter.in_use() - before < 50 * 2**20
    meter.start()
    assert meter.peak() - before < 50 * 2**20
