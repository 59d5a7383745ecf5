"""A database as data frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lukv_bench as lb
from lukv_bench.db.queries import to_records
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url


@pytest.fixture
def stored(lukv_bench: Any, tiny: Path) -> Any:
    """A database that the command line has filled."""
    base = ("run", "--model", tiny, "--allocator", "adakv", "--length", "360", "--limit", "2", "--db", "x.db")
    assert lukv_bench(*base, "--tasks", "niah_single_1,niah_single_2").code == 0
    return lukv_bench


def test_frames_hold_what_the_command_line_shows(stored: Any) -> None:
    results = lb.read("x.db")
    for frame, words in (
        (results.cells(), ()),
        (results.cells(task="niah_single_2"), ("--task", "niah_single_2")),
        (results.cells(against="full"), ("--against", "full")),
        (results.answers(), ("--answers",)),
        (results.answers(task=["niah_single_1"], limit=1), ("--answers", "--task", "niah_single_1", "--limit", "1")),
    ):
        assert len(frame)
        assert to_records(frame) == stored("results", "--db", "x.db", "--json", *words).rows
    assert len(results.cells(task="niah_single_2")) == 3
    assert len(results.answers(limit=1)) == 6


def test_keep_counts_sum_to_the_tokens_that_answers_kept(stored: Any) -> None:
    results = lb.read("x.db")
    counts = results.keep_counts(task="niah_single_1")
    assert list(counts.columns) == ["cell", "sample", "ordinal", "counts"]
    assert len(counts) == 6
    means = results.cells(task="niah_single_1").set_index("cell")["kv_tokens_kept"]
    totals = counts.assign(kept=[sum(map(sum, rows)) for rows in counts["counts"]]).groupby("cell")["kept"].mean()
    assert totals.to_dict() == means.to_dict()
    assert totals.nunique() > 1


def test_what_is_not_there_is_refused_in_the_words_of_python(stored: Any) -> None:
    with pytest.raises(lb.UserError, match="name others with db"):
        lb.read("none.db")
    Path("note.db").write_text("words")
    with pytest.raises(lb.UserError):
        lb.read("note.db")
    results = lb.read("x.db")
    with pytest.raises(lb.UserError, match="no_such"):
        results.cells(task="no_such")
    with pytest.raises(lb.UserError):
        results.cells(against="no_such")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda results: results.answers(limit=2.5), "limit takes a whole number, not 2.5"),
        (lambda results: results.answers(limit=True), "limit takes a whole number, not True"),
        (lambda results: results.answers(limit="2"), "limit takes a whole number, not '2'"),
        (lambda results: results.answers(limit=0), "limit takes a number of at least 1, not 0"),
        (lambda results: results.answers(task=5), "task takes a text, not 5"),
        (lambda results: results.cells(against=5), "against takes a text, not 5"),
        (lambda results: results.compare(None, "full"), "a takes a text, not None"),
        (lambda results: results.compare("full", ["full"]), r"b takes a text, not \['full'\]"),
        (lambda results: results.keep_counts(task=[1.5]), "task takes a text, not 1.5"),
        (lambda _: lb.read(5), "db takes a path, not 5"),
        (lambda _: lb.Results(Path("x.db")), r"db takes a text, not .*x\.db"),
    ],
)
def test_arguments_of_another_type_are_refused_in_one_sentence(
    tmp_path: Path, call: Callable[[Any], object], said: str
) -> None:
    database = tmp_path / "empty.db"
    Store.open(resolve_url(str(database)), create=True).close()
    results = lb.read(database)
    with pytest.raises(lb.UserError, match=f"^{said}") as refused:
        call(results)
    assert str(refused.value).count("\n") == 0
