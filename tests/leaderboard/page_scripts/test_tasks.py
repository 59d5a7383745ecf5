"""The tasks page."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from streamlit.testing.v1 import AppTest

Visit = Callable[..., AppTest]


def test_one_task_shows_its_configurations_best_first(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tasks", place="niah 2560")
    assert not site.exception
    scores = next(each.value for each in site.dataframe if "Configuration" in each.value)["Score"]
    assert len(scores) == 13
    assert scores.is_monotonic_decreasing


def test_samples_of_several_kinds_have_a_map_by_kind(filled: Path, tmp_path: Path, visit: Visit) -> None:
    path = Path(shutil.copy(filled, tmp_path))
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("""UPDATE sample SET facets = json_object('kind', 'k' || (ordinal % 2), 'own', ordinal)""")
    site = visit(path, "tasks", place="niah 2560")
    assert not site.exception
    titles = [each.value for each in site.subheader]
    assert "By kind" in titles
    assert "By own" not in titles, "a value for each sample groups nothing"
    before = visit(filled, "tasks", place="niah 2560")
    assert "By kind" not in [each.value for each in before.subheader]


def test_fewer_rows_are_said_to_be_fewer(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tasks", rows="5")
    assert any("The best 5 of 13" in caption.value for caption in site.caption)


def test_a_number_out_of_range_is_said(filled: Path, visit: Visit) -> None:
    site = visit(filled, "tasks", rows="100000")
    assert any("100000" in warning.value for warning in site.warning)
    assert not site.exception
