"""The page of samples, run without a browser."""

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from ..conftest import N_SAMPLES


def test_a_sample_is_shown_with_its_reference_and_several_answers(filled: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(filled, "samples", place="niah 2560", sample="sample 3: 0003")
    assert not site.exception
    listed = site.dataframe[0].value
    assert list(listed["ordinal"]) == list(range(N_SAMPLES))
    assert listed["references"].iloc[3] == "0003"
    assert site.code[0].value == "0003"
    assert site.code[1].value == "It is 0003."  # of the full cache, which is right on every sample
    titles = [each.value for each in site.markdown if each.value.startswith("**")]
    assert titles[1:] == ["**full**", r"**uniform x keydiff\, prune 0\.8**", r"**lukv x keydiff\, prune 0\.8**"]


def test_a_search_leaves_the_samples_that_have_the_word(filled: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(filled, "samples", place="niah 2560", search="0007")
    assert list(site.dataframe[0].value["ordinal"]) == [7]
    nothing = visit(filled, "samples", search="<script>%_")
    assert not nothing.exception
    assert nothing.info[0].value == "No sample of this task matches."


def test_what_each_head_kept_is_drawn_on_demand(filled: Path, visit: Callable[..., AppTest]) -> None:
    chosen = ["full", "uniform x keydiff, prune 0.8"]
    site = visit(filled, "samples", samples_of=chosen, counts="true")
    assert not site.exception
    assert len(site.get("plotly_chart")) == len(chosen)


def test_a_link_that_names_what_is_not_there_says_so(filled: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(filled, "samples", samples_of="<b>gone</b>", sample="sample 99")
    assert not site.exception
    assert len(site.warning) == 2


def test_a_run_without_answers_yet_says_so(planned: Path, visit: Callable[..., AppTest]) -> None:
    site = visit(planned, "samples")
    assert not site.exception
    assert site.info[0].value == "No sample of this task matches."
