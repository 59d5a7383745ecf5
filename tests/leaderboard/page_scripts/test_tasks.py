"""The tasks page."""

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

Visit = Callable[..., AppTest]


def test_one_task_shows_its_configurations_best_first(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tasks", place="niah 2560")
    assert not site.exception
    scores = next(each.value for each in site.dataframe if "Configuration" in each.value)["Score"]
    assert len(scores) == 13
    assert scores.is_monotonic_decreasing


def test_fewer_rows_are_said_to_be_fewer(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tasks", rows="5")
    assert any("The best 5 of 13" in caption.value for caption in site.caption)


def test_a_number_out_of_range_is_said(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tasks", rows="100000")
    assert any("100000" in warning.value for warning in site.warning)
    assert not site.exception
