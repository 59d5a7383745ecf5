"""The page that compares two configurations, run without a browser."""

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

PAIR = {"a": "uniform x keydiff, prune 0.8", "b": "lukv x keydiff, prune 0.8"}


def test_differences_are_over_the_same_samples(filled: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(filled, "compare", **PAIR)
    assert not site.exception
    assert not site.warning
    table = site.dataframe[0].value
    assert list(table["task"]) == ["fwe", "niah", "niah", "all tasks"]
    assert list(table["n_samples"]) == [12, 12, 12, 36]
    assert list(table["won"] + table["lost"] + table["tied"]) == [12, 12, 12, 36]
    assert (table["difference"] > 0).all()


def test_a_flipped_sample_is_shown_with_both_answers_and_its_reference(
    filled: Path, visit: Callable[..., AppTest]
) -> None:
    site = visit(filled, "compare", flips="won by B", **PAIR)
    flips = site.dataframe[1].value
    assert (flips["difference"] > 0).all()
    number = int(flips["ordinal"].iloc[0])
    assert [block.value for block in site.code] == [f"{number:04d}", "I do not know.", f"It is {number:04d}."]


def test_two_alike_have_no_flips(filled: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(filled, "compare", a=PAIR["a"], b=PAIR["a"])
    assert not site.exception
    assert "There is none" in site.info[0].value
    assert list(site.dataframe[0].value["difference"]) == [0, 0, 0, 0]


def test_a_run_without_answers_yet_says_so(planned: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(planned, "compare", **PAIR)
    assert not site.exception
    assert "no sample in common" in site.info[0].value
    assert "Incomplete" in site.warning[0].value
