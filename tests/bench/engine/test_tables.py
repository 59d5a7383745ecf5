"""Which score table a method gets: one for each scorer, and one for each budget where the scorer reads it."""

from collections.abc import Callable
from typing import Any

import torch

from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.methods.budget import parse_budgets
from lukv_bench.bench.methods.eviction import read_context
from lukv_bench.bench.methods.method import Method, build_methods


def methods() -> tuple[Method, ...]:
    scorers = ["critical:of=tova", "tova", "random"]
    return build_methods(["full", "uniform"], scorers, parse_budgets(["0.5", "0.8"], []), None, None, False)


def test_a_scorer_that_reads_the_budget_has_a_table_for_each() -> None:
    tables = {(method.scorer.label, str(method.budget)): method.table for method in methods() if method.scorer}
    assert len(tables) == 6
    assert tables["tova", "0.5"] == tables["tova", "0.8"]
    assert tables["critical:of=tova", "0.5"] != tables["critical:of=tova", "0.8"]
    assert len(set(tables.values())) == 4


def test_methods_that_run_together_rank_as_each_does_alone(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    asked = methods()
    ids = some_ids(40, 0)
    together = read_context(llama.loaded, ids, asked, seed=3, n_sequence=len(ids))
    assert not together.failures
    assert len(together.scores) == 4
    for method in asked:
        if method.scorer is None:
            continue
        kept = {"0.5": 20, "0.8": 8}[str(method.budget)]
        alone = prefill(llama.loaded, ids, {"alone": method.scorer.instance}, n_kept={"alone": kept}, seed=3)
        assert torch.equal(together.table(method.table), alone.table("alone"))
    of_budgets = [together.table(method.table) for method in asked if "critical" in method.table]
    assert not torch.equal(of_budgets[0], of_budgets[1])
