"""Methods by the shortest text that one may type for them."""

from typing import Any

import pandas as pd
import pytest

from lukv_bench.leaderboard.short_labels import with_short_methods

PAGES = pd.DataFrame(
    [
        {
            "kind": "scorer",
            "name": "snapkv",
            "distribution": "d",
            "version": "1",
            "arguments": [{"name": "window", "default": 32}, {"name": "pool", "default": "max"}],
        },
        {
            "kind": "allocator",
            "name": "shuffled",
            "distribution": "d",
            "version": "1",
            "arguments": [{"name": "of", "default": None, "required": True}],
        },
        {
            "kind": "allocator",
            "name": "adakv",
            "distribution": "d",
            "version": "1",
            "arguments": [{"name": "alpha", "default": 0.2}],
        },
    ]
)


def plugin(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "arguments": arguments, "distribution": "d", "version": "1"}


def label(allocator: dict[str, Any], scorer: dict[str, Any] | None, schedule: str = "one-shot") -> str:
    row = {
        "configuration": "c",
        "allocator": allocator["name"],
        "allocator_args": allocator["arguments"],
        "scorer": scorer and scorer["name"],
        "scorer_args": scorer["arguments"] if scorer else {},
        "spec": {"allocator": allocator, "scorer": scorer, "schedule": schedule},
        "method": "long",
    }
    return str(with_short_methods(pd.DataFrame([row]), PAGES)["method"].iloc[0])


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"window": 32, "pool": "max"}, "snapkv"),
        ({"window": 64, "pool": "max"}, "snapkv:window=64"),
        ({"window": 32.0, "pool": "avg"}, "snapkv:window=32.0,pool=avg"),
        ({"window": 32, "unheard": 1}, "snapkv:unheard=1"),
    ],
)
def test_arguments_that_have_their_defaults_are_left_out(arguments: dict[str, Any], shown: str) -> None:
    assert label(plugin("uniform", {}), plugin("snapkv", arguments)) == f"uniform x {shown}"


def test_a_held_plugin_is_cut_down_too() -> None:
    held = plugin("shuffled", {"of": plugin("adakv", {"alpha": 0.2})})
    assert label(held, plugin("keydiff", {})) == "shuffled:of=adakv x keydiff"


def test_the_full_cache_has_no_scorer() -> None:
    assert label(plugin("full", {}), None) == "full"


def test_a_method_without_a_page_keeps_its_arguments() -> None:
    assert label(plugin("own", {"a": 1}), plugin("keydiff", {})) == "own:a=1 x keydiff"


def test_a_method_that_evicts_in_blocks_says_so() -> None:
    assert label(plugin("uniform", {}), plugin("keydiff", {}), "block:128") == "uniform x keydiff, block:128"
