"""What a visitor chose, kept in the address."""

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from lukv_bench.leaderboard.state import labelled

Visit = Callable[..., AppTest]


def test_labels_of_different_values_differ() -> None:
    assert list(labelled(["a", "a ", "b"])) == ["a", "a (2)", "b"]


def test_a_link_opens_the_view_that_it_was_copied_from(filled: Path, visit: Visit) -> None:
    first = visit(filled)
    first.multiselect(key="task").select("niah")
    first.multiselect(key="allocator").select("lukv").select("uniform").run()
    second = visit(filled, task="niah", allocator=["lukv", "uniform"])
    for key in ("task", "allocator"):
        assert second.multiselect(key=key).value == first.multiselect(key=key).value
    assert first.dataframe[0].value.equals(second.dataframe[0].value)


def test_what_a_link_names_and_the_database_lacks_is_said(filled: Path, visit: Visit) -> None:
    site = visit(filled, task=["niah", "nonsense"], setting="another model")
    assert "nonsense" in " ".join(warning.value for warning in site.warning)
    assert "another model" in " ".join(warning.value for warning in site.warning)
    assert site.multiselect(key="task").value == ["niah"]
    assert not site.exception


def test_filters_stay_from_page_to_page(filled: Path, visit: Visit) -> None:
    site = visit(filled, task="niah")
    site.switch_page("page_scripts/tasks.py").run()
    assert site.multiselect(key="task").value == ["niah"]
    assert site.query_params["task"] == "niah"


def test_a_page_that_shows_everything_keeps_the_filters_for_the_next(filled: Path, visit: Visit) -> None:
    site = visit(filled, task="niah")
    site.switch_page("page_scripts/about.py").run()
    assert site.multiselect(key="task").disabled
    site.switch_page("page_scripts/ranking.py").run()
    assert site.multiselect(key="task").value == ["niah"]
