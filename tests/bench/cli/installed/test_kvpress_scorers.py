"""docs/examples/kvpress_scorers: kvpress's score presses by name, installed as its README says."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "docs" / "examples" / "kvpress_scorers"
GOLDEN = ROOT / "tests" / "golden"
RUN = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--ratio", "0.5", "--db", "out.db")


@pytest.fixture(scope="module")
def with_kvpress(make_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An environment of its own: kvpress and what came with it stay."""
    site = make_site()
    commands = re.findall(r"^pip (install .*)$", (EXAMPLE / "README.md").read_text(encoding="utf-8"), flags=re.M)
    assert len(commands) == 2
    copy = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("example") / "copy")  # building leaves traces
    for command in commands:
        site.pip(*command.replace("./docs/examples/kvpress_scorers", str(copy)).split())
    return site


@pytest.fixture(scope="module")
def tables(with_kvpress: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("tables") / "tables.npz"
    script = Path(__file__).with_name("kvpress_tables.py")
    ended = with_kvpress.call(with_kvpress.folder / "bin" / "python", script, GOLDEN, out)
    assert ended.returncode == 0, ended.stderr
    return np.load(out)


@pytest.mark.parametrize("name", ["llama", "qwen3", "mistral"])
def test_presses_score_as_they_do_in_kvpress_s_own_environment(tables: Any, name: str) -> None:
    """Their own hooks under transformers 5.2 made the goldens."""
    golden = np.load(GOLDEN / f"kvpress-{name}.npz")
    compared = set()
    for key in tables.files:
        if "/scores/" in key and key.startswith(f"{name}/"):
            theirs = golden[key.removeprefix(f"{name}/")]
            np.testing.assert_allclose(tables[key], theirs, rtol=2e-4, atol=1e-5, err_msg=key)
            compared.add(key.rsplit("/", 1)[1])
    assert len(compared) >= 12
    assert "LagKVPress" in compared


@pytest.mark.parametrize("press", ["CompactorPress", "LeverageScorePress", "RandomPress"])
def test_a_press_that_draws_at_random_draws_from_the_seed(tables: Any, press: str) -> None:
    first = tables[f"llama/first/{press}"]
    assert (first == tables[f"llama/again/{press}"]).all()
    assert (first[0] != first[1]).any(), "every layer drew the same"
    assert np.isfinite(first).all()


def test_importing_kvpress_wraps_no_attention_function(tables: Any) -> None:
    assert bool(tables["functions_untouched"])


def test_the_readme_s_table_is_what_the_presses_do(with_kvpress: Any) -> None:
    ended = with_kvpress.call(with_kvpress.folder / "bin" / "python", "-m", "kvpress_scorers")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() in (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert ended.stdout.count("| yes |") >= 10


def test_it_runs_beside_the_built_in_scorers_and_changes_none_of_their_answers(with_kvpress: Any, tiny: Path) -> None:
    """kvpress's KnormPress ranks as knorm does, so the answers are equal, too, in one process with LagKVPress."""
    command = ("run", "--model", tiny, *RUN, "--no-baselines", "--allocator", "uniform", "--sink", "0", "--window", "0")
    scorers = (
        "knorm",
        "kvpress:press=KnormPress",
        "kvpress:press=LagKVPress",
        "kvpress:press=LagKVPress,options=lag_size=64",
    )
    rows = with_kvpress.rows(*command, *(word for scorer in scorers for word in ("--scorer", scorer)))
    assert [row["status"] for row in rows] == ["complete"] * 4
    assert answers("out.db", "knorm") == answers("out.db", "kvpress", "KnormPress")


def answers(database: str, scorer: str, press: str = "") -> list[str]:
    import sqlite3

    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT answer.text FROM answer JOIN cell ON answer.cell_id = cell.id JOIN configuration ON "
        "cell.configuration_id = configuration.id WHERE configuration.scorer = ? AND "
        "configuration.scorer_args LIKE ? ORDER BY answer.sample_id",
        (scorer, f"%{press}%"),
    ).fetchall()
    connection.close()
    assert rows
    return [text for (text,) in rows]


@pytest.mark.parametrize(
    ("press", "reason"),
    [
        ("CriticalKVPress", "wraps another press"),
        ("KVzapPress", "model hub"),
        ("LagPress", "none of kvpress's score presses"),
        ("SnapKVPress,options=windows=3", "windows"),
    ],
)
def test_a_press_that_cannot_score_is_refused_before_anything_runs(
    with_kvpress: Any, tiny: Path, press: str, reason: str
) -> None:
    ended = with_kvpress.lukv_bench("run", "--model", tiny, *RUN, "--scorer", f"kvpress:press={press}")
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not Path("out.db").exists()
