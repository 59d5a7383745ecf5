"""Which rows are compared with which, and what `--against` may name."""

from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.db.rivals import UNIFORM, check_unambiguous, find_rivals, parse_against

SHARED = {"model_revision": "m", "dtype": "float32", "protocol": "agnostic", "seed": 0, "code_version": "1"}


def row(cell: str, allocator: str = "uniform", scorer: str | None = "keydiff", **more: Any) -> dict[str, Any]:
    full = allocator == "full"
    values: dict[str, Any] = {
        "cell": cell,
        "configuration": "f" * 8 + cell,
        "status": "complete",
        "task": "niah",
        "task_version": "1",
        "data_revision": "",
        "length": 1024,
        "allocator": allocator,
        "allocator_args": {},
        "scorer": None if full else scorer,
        "scorer_args": {},
        "ratio": 0.0 if full else 0.8,
        "keep_tokens": None,
        "sink": 4,
        "window": 1,
        "profile_hash": None,
        "schedule": "one-shot",
        "label": cell,
        **SHARED,
        **more,
    }
    names = ("ratio", "keep_tokens", "sink", "window", "profile_hash", "schedule", *SHARED)
    methods = {"allocator": [values["allocator"], values["allocator_args"]], "scorer": values["scorer"]}
    return values | {"spec": {name: values[name] for name in names} | methods}


ROWS = [
    row("a000", "full"),
    row("b000"),
    row("c000", ratio=0.9),
    row("d000", scorer="snapkv", window=32),
    row("e000", "lukv", profile_hash="p"),
    row("e100", "lukv", ratio=0.9),
    row("e200", "lukv", scorer="snapkv", window=32),
    row("e300", "lukv", task="other"),
    row("ea00", "lukv", seed=1),
    row("eb00", "lukv", status="partial"),
]


def rivals(text: str, rows: list[dict[str, Any]] = ROWS) -> dict[str, str]:
    return dict(find_rivals(rows, parse_against(text, rows)).of)


def test_uniform_is_under_the_same_scorer_budget_task_and_seed() -> None:
    expected = {"e000": "b000", "e100": "c000", "e200": "d000"}
    assert find_rivals(ROWS, UNIFORM).of == expected
    assert rivals("uniform") == expected


def test_the_profiles_of_an_allocator_are_its_own_and_a_scorers_are_the_scorers() -> None:
    def profiled(cell: str, allocator: str, **profiles: str) -> dict[str, Any]:
        plain = row(cell, allocator, scorer="fitted")
        return plain | {"spec": plain["spec"] | ({"profiles": profiles} if profiles else {})}

    held = {"allocator.of": "q", "scorer": "s"}
    rows = [
        profiled("b000", "uniform", scorer="s"),
        profiled("b100", "uniform", scorer="another"),
        profiled("e000", "lukv", scorer="s"),
        profiled("e100", "spread", **held),
        profiled("e200", "lukv", scorer="a third"),
        row("a000", "full"),
    ]
    assert find_rivals(rows, UNIFORM).of == {"e000": "b000", "e100": "b000"}
    assert set(rivals("full", rows)) == {"b000", "b100", "e000", "e100", "e200"}


def test_full_serves_every_method_of_the_task() -> None:
    assert rivals("full") == dict.fromkeys(("b000", "c000", "d000", "e000", "e100", "e200"), "a000")


def test_an_allocator_with_a_scorer_serves_other_scorers_at_the_same_budget() -> None:
    assert rivals("uniform x snapkv") == {"b000": "d000", "e000": "d000", "e200": "d000"}
    assert rivals("uniform x keydiff") == {"d000": "b000", "e000": "b000", "e100": "c000", "e200": "b000"}


def test_a_row_with_its_budget_serves_other_budgets() -> None:
    assert rivals("lukv x keydiff, prune 0.9") == dict.fromkeys(
        ("a000", "b000", "c000", "d000", "e000", "e200"), "e100"
    )


def test_an_id_serves_whatever_may_be_compared_at_all() -> None:
    assert rivals("e200") == dict.fromkeys(("a000", "b000", "c000", "d000", "e000", "e100"), "e200")
    assert rivals("ffffffffe200") == rivals("e200")


def test_arguments_are_typed_as_the_table_shows_them() -> None:
    rows = [*ROWS, row("e400", "lukv", allocator_args={"floor": 9})]
    assert rivals("lukv:floor=9", rows) == {"b000": "e400", "e000": "e400"}


def test_what_is_several_things_is_refused() -> None:
    rows = [*ROWS, row("e400", "lukv", allocator_args={"floor": 9})]
    against = parse_against("lukv", rows)
    found = find_rivals(rows, against)
    assert "b000" not in found.of
    with pytest.raises(UserError, match=r'"lukv" names 2 rows .*\(e000, e400\); name one by its id'):
        check_unambiguous(found, against)
    with pytest.raises(UserError, match="begins 10 ids of these results; type more"):
        parse_against("ffff", ROWS)


def test_protected_tokens_decide_between_two_of_a_name() -> None:
    rows = [*ROWS, row("d100", scorer="snapkv", window=1)]
    assert rivals("uniform x snapkv", rows)["e000"] == "d100"
    assert rivals("uniform x snapkv", rows)["e200"] == "d000"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("unifrom", 'did you mean "uniform"'),
        ("lukv x keydif", 'did you mean "lukv x keydiff"'),
        ("", "there are full, lukv, uniform"),
        ("abcdef01", "begins no id of these results"),
    ],
)
def test_what_is_nothing_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_against(text, ROWS)


BLOCKS = {"schedule": "block:128"}
SCHEDULED = [
    row("a000", "full"),
    row("b000"),
    row("b100", **BLOCKS),
    row("c000", "lukv"),
    row("c100", "lukv", **BLOCKS),
]


def test_a_schedule_is_held_against_the_same_schedule_and_against_the_full_cache() -> None:
    assert dict(find_rivals(SCHEDULED, UNIFORM).of) == {"c000": "b000", "c100": "b100"}
    assert rivals("lukv x keydiff", SCHEDULED) == {"b000": "c000", "b100": "c100"}
    assert rivals("full", SCHEDULED) == dict.fromkeys(("b000", "b100", "c000", "c100"), "a000")
    both = [*SCHEDULED, row("a100", "full", **BLOCKS), row("d000", "lukv", schedule="block:64")]
    expected = {"b000": "a000", "b100": "a100", "c000": "a000", "c100": "a100", "d000": "a000"}
    assert rivals("full", both) == expected


def test_a_method_typed_with_its_schedule_is_one_row_for_all_others() -> None:
    assert rivals("lukv x keydiff, block:128, prune 0.8", SCHEDULED) == dict.fromkeys(
        ("a000", "b000", "b100", "c000"), "c100"
    )
