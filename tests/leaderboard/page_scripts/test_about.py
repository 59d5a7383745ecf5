"""The page about the numbers."""

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

Visit = Callable[..., AppTest]


def test_a_result_has_the_command_that_reproduces_it(filled: Path, visit: Visit) -> None:
    site = visit(filled, "about", result="lukv x snapkv, prune 0.8", on="niah 2560")
    assert not site.exception
    command = site.code[-1].value
    assert "--allocator lukv --scorer snapkv --ratio 0.8 --tasks niah --length 2560" in command


def test_machines_and_tasks_are_what_the_runs_recorded(filled: Path, visit: Visit) -> None:
    site = visit(filled, "about")
    shown = " ".join(each.value.to_string() for each in site.dataframe)
    for recorded in ("a desktop", "torch 2.13.0", "What niah asks.", "string_match_all", "float32"):
        assert recorded in shown
