"""What the pages ask of the record, on SQLite and PostgreSQL."""

import shlex
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import text

from lukv_bench.db.arrays import pack_arrays
from lukv_bench.db.comparable import Setting
from lukv_bench.db.frames.cells import read_cells
from lukv_bench.db.frames.commands import read_commands
from lukv_bench.db.frames.mean_counts import read_mean_counts
from lukv_bench.db.frames.pages import read_method_pages, read_task_pages
from lukv_bench.db.frames.profiles import read_profile_curves
from lukv_bench.db.frames.prompts import read_prompt
from lukv_bench.db.frames.sample_answers import read_answers_of_sample
from lukv_bench.db.frames.sample_scores import read_sample_scores
from lukv_bench.db.frames.search import search_samples
from lukv_bench.db.frames.settings import read_settings
from lukv_bench.db.queries import results_frame
from lukv_bench.db.schema import MethodPage, Profile, Task
from lukv_bench.db.store import Store

if TYPE_CHECKING:
    from ..conftest import Rows


@pytest.fixture
def setting(results: Store) -> Setting:
    return Setting.of(read_settings(results).iloc[0])


def test_settings_are_what_may_be_ranked_together(results: Store) -> None:
    settings = read_settings(results)
    assert settings[["protocol", "n_configurations", "n_cells"]].to_numpy().tolist() == [
        ["agnostic", 2, 4],
        ["aware", 1, 1],
    ]
    assert settings["tasks"].tolist() == [[("niah", 1024), ("vt", 1024)], [("niah", 1024)]]
    assert settings["key"].nunique() == 2


def test_a_broken_setting_hides_no_other(sqlite_results: Store) -> None:
    with sqlite_results.writing() as connection:
        connection.execute(text("UPDATE configuration SET seed = 'zero' WHERE protocol = 'aware'"))
    assert read_settings(sqlite_results)["protocol"].tolist() == ["agnostic"]


def test_cells_are_the_rows_of_results_of_one_setting(results: Store, setting: Setting) -> None:
    cells = read_cells(results, setting)
    everything = results_frame(results)
    assert cells[everything.columns].equals(everything[everything["protocol"] == "agnostic"].reset_index(drop=True))
    assert set(cells["method"]) == {"full", "uniform:floor=4 x keydiff"}
    assert set(cells["budget"]) == {"-", "prune 0.8"}
    assert (cells["interval_low"] < cells["score"]).all()
    assert (cells["score"] < cells["interval_high"]).all()
    assert set(read_cells(results, setting, ["vt"])["cell"]) == {"full vt", "uniform-0.8 vt"}
    assert read_cells(results, setting, ["nothing"]).empty
    assert read_cells(results, setting._replace(model="another")).empty


def test_scores_are_by_cell_and_ordinal(results: Store) -> None:
    scores = read_sample_scores(results, ["uniform-0.8 vt", "aware niah"])
    assert scores.to_numpy().tolist() == [
        ["uniform-0.8 vt", f"vt{ordinal}", ordinal, score] for ordinal, score in enumerate((100.0, 0.0, 25.0))
    ]


def test_counts_are_the_mean_over_the_answers(results: Store, rows: "Rows") -> None:
    cells = results_frame(results).set_index("cell")
    found = read_mean_counts(results, cells.loc["full niah", "configuration"], "niah", cells["length"].iloc[0])
    assert found is not None
    assert found.counts.tolist() == [[1.0, 300.0], [250.0, 150.0]]
    assert (found.tokens, found.n_answers) == (1000.0, 3)
    assert read_mean_counts(results, "full", "niah", None) is None


def test_answers_stand_in_the_order_of_the_cells(results: Store) -> None:
    cells = ["uniform-0.8 niah", "aware niah", "full niah"]
    answers = read_answers_of_sample(results, "niah2", cells)
    assert answers["cell"].tolist() == ["uniform-0.8 niah", "full niah"]
    assert answers["text"].tolist() == ["uniform-0.8 says 2", "full says 2"]
    assert answers["score"].tolist() == [25.0, 50.0]
    assert answers["counts"].tolist() == [[[2, 300], [250, 150]]] * 2
    assert answers["events"].tolist() == [[{"event": "clamp", "n": 1}]] * 2
    assert read_answers_of_sample(results, "nothing", cells).empty


@pytest.mark.parametrize(
    ("words", "ordinals"),
    [("", [0, 1, 2]), ("GREEN", [1]), ("uniform-0.8 says 2", [2]), ("50%", [0]), ("5%", []), ("_", []), ("\\", [])],
)
def test_samples_are_found_by_reference_and_by_answer(
    results: Store, setting: Setting, words: str, ordinals: list[int]
) -> None:
    found = search_samples(results, setting, "niah", words)
    assert found.samples["ordinal"].tolist() == ordinals
    assert found.n_samples == len(ordinals)


def test_samples_come_in_pages(results: Store, setting: Setting) -> None:
    found = search_samples(results, setting, "niah", limit=2, offset=1)
    assert (found.samples["sample"].tolist(), found.n_samples) == (["niah1", "niah2"], 3)
    assert found.samples["score"].tolist() == [50.0, 37.5]
    assert found.samples["n_answers"].tolist() == [2, 2]
    assert found.samples["references"].tolist() == [["green"], ["red"]]


def test_pages_of_methods_and_tasks_are_as_the_run_recorded_them(results: Store) -> None:
    arguments = [{"name": "floor", "default": 4}]
    results.put(
        MethodPage(kind="scorer", name="b", distribution="d", version="1", summary="B.", arguments=arguments),
        MethodPage(kind="allocator", name="a", distribution="d", version="1", summary="A.", arguments={"a": 1}),
        Task(name="vt", version="1", family="ruler", metric="match", summary="chains"),
    )
    pages = read_method_pages(results)
    assert pages[["kind", "name"]].to_numpy().tolist() == [["allocator", "a"], ["scorer", "b"]]
    assert pages["arguments"].tolist() == [[], arguments]
    assert read_task_pages(results)["summary"].tolist() == ["chains"]


def test_curves_come_back(results: Store) -> None:
    curve = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 2, 2)
    for name, arrays in (("p", pack_arrays({"curve": curve})), ("q", b"no arrays")):
        results.put(Profile(hash=name, model_revision="m", scorer="keydiff", details={"n": 1}, arrays=arrays))
    profile = read_profile_curves(results, "p")
    assert profile is not None
    assert (profile.scorer, profile.details) == ("keydiff", {"n": 1})
    assert np.allclose(profile.arrays["curve"], curve, atol=1e-3)
    assert read_profile_curves(results, "q") is None
    assert read_profile_curves(results, "nothing") is None


def test_the_command_of_a_run_is_narrowed_down_to_a_cell(results: Store) -> None:
    given = "lukv-bench run --model tiny --batch=8"
    place = "--tasks niah --length 1024 --limit 3 --seed 1 --no-baselines"
    commands = read_commands(results, ["full niah", "uniform-0.8 niah", "aware niah"])
    assert commands["full niah"] == f"{given} --allocator full {place}"
    uniform = "--allocator uniform:floor=4 --scorer keydiff --ratio 0.8"
    assert commands["uniform-0.8 niah"] == f"{given} {uniform} {place}"
    assert "aware niah" not in commands


def test_a_command_of_another_form_stands_as_it_was_typed(results: Store, rows: "Rows") -> None:
    typed = ["lukv-bench", "lm-eval", "run", "--model_args", "allocator=lukv,note=two words"]
    run = results.start_run(typed, rows.environment)
    results.put_answer(rows.answer(run, 0, "aware niah", sample_id="niah0"))
    assert read_commands(results, ["aware niah"]) == {"aware niah": shlex.join(typed)}


def test_a_prompt_is_kept_where_a_run_keeps_it_and_stays(results: Store, rows: "Rows") -> None:
    assert read_prompt(results, "niah0") is None
    for prompt in ("What is the number?", None):
        (sample,) = rows.samples(1, task="niah", prompt=prompt)
        sample.id = "niah0"
        results.put(sample)
        assert read_prompt(results, "niah0") == "What is the number?"
    assert read_prompt(results, "nothing") is None
