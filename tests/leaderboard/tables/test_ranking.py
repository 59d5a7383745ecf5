"""The tables of the leaderboard."""

import pandas as pd
import pytest

from lukv_bench.leaderboard import text
from lukv_bench.leaderboard.tables import ranking as tables

ABOUT = {
    "f": ("full", "full", "-", "full", 400.0),
    "a": ("lukv x keydiff, prune 0.8", "lukv x keydiff", "prune 0.8", "lukv", 80.0),
    "b": ("lukv x keydiff, prune 0.8, sink 8", "lukv x keydiff", "prune 0.8", "lukv", 80.0),
}


def cells(**other: list[object]) -> pd.DataFrame:
    columns: dict[str, list[object]] = {
        "configuration": list(ABOUT),
        "method": [row[1] for row in ABOUT.values()],
        "budget": [row[2] for row in ABOUT.values()],
        "allocator": [row[3] for row in ABOUT.values()],
        "scorer": [None, "keydiff", "keydiff"],
        "ratio": [0.0, 0.8, 0.8],
        "keep_tokens": [None] * 3,
        "spec": [{}] * 3,
        "task": ["fwe"] * 3,
        "length": [1280] * 3,
        "status": ["complete"] * 3,
        "kv_bytes_kept": [row[4] for row in ABOUT.values()],
        "kv_bytes_full": [400.0] * 3,
        "n": [12] * 3,
        "n_fidelity": [0] * 3,
        "kl_nats": [None] * 3,
        "agreement": [None] * 3,
        "machine": ["m"] * 3,
        "prefill_s": [3.0, 2.0, 1.0],
        "evict_s": [None, 0.1, 0.1],
        "ttft_s": [3.0, 2.1, 1.1],
        "tpot_s": [0.1] * 3,
    }
    return pd.DataFrame(columns | other)


@pytest.fixture
def about() -> pd.DataFrame:
    return tables.describe_configurations(cells(), {each: row[0] for each, row in ABOUT.items()})


def ranked(scores: dict[str, float]) -> pd.DataFrame:
    losses = [100 * (1 - score / scores["f"]) if scores.get("f") else float("nan") for score in scores.values()]
    return pd.DataFrame(
        {
            "configuration": list(scores),
            "rank": range(1, len(scores) + 1),
            "best_place": 1,
            "worst_place": [1, *range(2, len(scores) + 1)],
            "score": list(scores.values()),
            "interval_low": [score - 5 for score in scores.values()],
            "interval_high": [score + 5 for score in scores.values()],
            "n_tasks": 1,
            "n_samples": 12,
            "n_documents": 12,
            "loss_percent": losses,
            "loss_low": losses,
            "loss_high": [loss + 10 for loss in losses],
            "share_of_oracle": float("nan"),
        }
    )


def test_a_loss_of_nothing_has_no_minus(about: pd.DataFrame) -> None:
    table = tables.ranking_table(ranked({"f": 80.0, "a": 60.0}).assign(loss_percent=[-1e-14, 25.0]), about)
    assert [str(loss) for loss in table["loss_percent"]] == ["0.0", "25.0"]


def test_kept_bytes_are_means_over_tasks(about: pd.DataFrame) -> None:
    table = tables.ranking_table(ranked({"f": 80.0, "a": 60.0}), about)
    assert list(table["kept_percent"]) == [100.0, 20.0]


def test_details_distinguish_what_method_and_budget_do_not(about: pd.DataFrame) -> None:
    assert list(about["details"]) == ["", "", "sink 8"]
    shown = tables.shown_ranking(tables.ranking_table(ranked({"f": 80.0, "a": 60.0, "b": 60.0}), about))
    assert list(shown["Details"]) == ["", "", "sink 8"]


def test_columns_that_say_nothing_are_left_out(about: pd.DataFrame) -> None:
    shown = tables.shown_ranking(tables.ranking_table(ranked({"a": 60.0}), about))
    assert not {"Details", "Loss, %"} & set(shown)


def test_places_and_intervals_are_spans(about: pd.DataFrame) -> None:
    shown = tables.shown_ranking(tables.ranking_table(ranked({"f": 80.0, "a": 60.0}), about))
    assert list(shown["Places"]) == ["1", "1 to 2"]
    assert list(shown["95% interval"]) == ["75.0 to 85.0", "55.0 to 65.0"]


def test_the_best_of_a_budget_stands_with_those_that_share_its_rank() -> None:
    table = pd.DataFrame(
        [
            (1, "full", "-", 90.0, 100.0),
            (1, "lukv", "prune 0.5", 80.0, 50.0),
            (2, "lukv", "prune 0.8", 70.0, 20.0),
            (2, "adakv", "prune 0.5", 60.0, 50.0),
            (2, "adakv", "prune 0.8", 50.0, 20.0),
            (3, "uniform", "prune 0.8", 10.0, 20.0),
        ],
        columns=["rank", "method", "budget", "score", "kept_percent"],
    )
    best = tables.best_by_budget(table)
    assert best[["budget", "method", "n_sharing", "n_others"]].to_numpy().tolist() == [
        ["prune 0.5", "lukv", 0, 1],
        ["prune 0.8", "lukv", 1, 2],
    ]
    assert tables.best_by_budget(table.iloc[:1]).empty


def test_a_negative_span_is_no_formula(about: pd.DataFrame) -> None:
    shown = tables.shown_ranking(tables.ranking_table(ranked({"f": 80.0, "a": 90.0}), about))
    assert text.table(shown)["95% of loss"].tolist() == ["0.0 to 10.0", "\N{MINUS SIGN}12.5 to \N{MINUS SIGN}2.5"]


def test_seconds_are_never_ordered_by_seconds(about: pd.DataFrame) -> None:
    table = tables.seconds_table(cells().iloc[::-1], about)
    assert list(table["configuration"]) == ["f", "a", "b"]
    assert list(table["prefill_s"]) == [3.0, 2.0, 1.0]


def test_seconds_of_two_machines_are_not_averaged(about: pd.DataFrame) -> None:
    two = pd.concat([cells(), cells(machine=["other"] * 3, prefill_s=[30.0, 20.0, 10.0])])
    table = tables.seconds_table(two, about)
    assert list(table.loc[table["configuration"] == "f", "prefill_s"]) == [3.0, 30.0]


def test_what_an_incomplete_configuration_lacks_is_said(about: pd.DataFrame) -> None:
    incomplete = pd.DataFrame(
        {
            "configuration": ["a", "b"],
            "n_complete": [0, 1],
            "n_tasks": [2, 2],
            "missing": [["fwe: 1 of 12 samples", "niah: 0 of 12 samples"], ["fwe: 11 of 12 samples"]],
        }
    )
    table = tables.incomplete_table(incomplete, about)
    assert list(table["missing"]) == ["fwe: 11 of 12 samples", "fwe: 1 of 12 samples; niah: 0 of 12 samples"]


def test_fidelity_is_a_mean_over_tasks_of_configurations_that_have_it_on_every_answer() -> None:
    """b lacks it on one of its twelve answers to one of two tasks."""
    measured = {"n_fidelity": [12] * 3, "kl_nats": [0.0, 0.5, 0.25], "agreement": [1.0, 0.5, 0.75]}
    second = measured | {"task": ["vt"] * 3, "n_fidelity": [12, 12, 11], "kl_nats": [0.0, 1.5, 0.25]}
    both = pd.concat([cells(**measured), cells(**second)], ignore_index=True)
    about = tables.describe_configurations(both, {each: row[0] for each, row in ABOUT.items()})
    table = tables.ranking_table(ranked({"f": 90.0, "a": 60.0, "b": 50.0}), about).set_index("configuration")
    assert table["kl_nats"].fillna(-1).to_dict() == {"f": 0.0, "a": 1.0, "b": -1.0}
    shown = tables.shown_ranking(table.reset_index(), tables.FIDELITY_COLUMNS)
    assert tables.has_fidelity(table)
    assert shown["Same token, %"].fillna(-1).tolist() == [100.0, 50.0, -1.0]


def test_fidelity_that_nobody_measured_has_no_column(about: pd.DataFrame) -> None:
    table = tables.ranking_table(ranked({"f": 90.0, "a": 60.0, "b": 50.0}), about)
    assert not tables.has_fidelity(table)
    shown = tables.shown_ranking(table, tables.FIDELITY_COLUMNS)
    assert {"KL, nats", "Same token, %", "Of oracle, %"}.isdisjoint(shown.columns)
