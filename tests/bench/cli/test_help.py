"""What `doctor`, `list` and messages say to someone in their first hour."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench.bench.models.find import loading
from lukv_bench.bench.plugins import registry
from lukv_bench.bench.plugins.plugin import Description
from lukv_bench.tasks.catalog import families, names, task_info


def test_a_usage_error_names_the_commands_own_help(refused: Callable[..., str]) -> None:
    assert refused(["run", "--nosuch"]).endswith("see `lukv-bench run --help`.")
    assert refused(["tasks", "export", "--limit", "x"]).endswith("see `lukv-bench tasks export --help`.")
    assert refused(["nosuch"]).endswith("see `lukv-bench --help`.")
    assert refused(["run", "--config"]).endswith("see `lukv-bench run --help`.")
    assert refused(["tasks", "export", "--out"]).endswith("see `lukv-bench tasks export --help`.")
    assert refused(["results", "--json=yes"]).endswith("see `lukv-bench results --help`.")


def test_list_tasks_is_a_line_a_task_by_family(lukv_bench: Any) -> None:
    out = lukv_bench("list", "tasks").out
    lines = out.splitlines()
    n_families = len({task_info(name).family for name in names()})
    assert len(lines) == len(names()) + 2 * n_families + 1
    for family, members in families().items():
        head = [line for line in lines if f"{family} ({len(members)}" in line and not line.startswith(" ")]
        assert head, f"{family} and its number of tasks"
    for name in names():
        (line,) = [line for line in lines if line.split()[:1] == [name] and line.startswith("  ")]
        assert task_info(name).summary in line
    full = lukv_bench("list", "tasks", "niah_single_1").out
    assert "max_new_tokens 128" in full


def test_a_local_folder_is_not_fetched(tmp_path: Path) -> None:
    assert loading(str(tmp_path)) == f"loading {tmp_path}"
    assert loading("organisation/name") == "loading organisation/name (fetched on first use)"


@pytest.mark.parametrize(("kind", "name", "code"), [("scorer", "keydiff", 1), ("scorer", "strange", 0)])
def test_doctor_fails_where_a_run_without_options_would(
    lukv_bench: Any, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, code: int
) -> None:
    real = registry.describe_all

    def described(asked: Any) -> list[Description]:
        found = [known for known in real(asked) if known.name != name]
        broken = Description(asked, name, distribution="d", origin="d 1 (m:C)", broken="it fails")
        return [*found, broken] if asked == kind else found

    monkeypatch.setattr(registry, "describe_all", described)
    ended = lukv_bench("doctor", "--db", "out.db")
    assert ended.code == code
    (line,) = [line for line in ended.out.splitlines() if f"{kind} {name}" in line]
    assert line.startswith("broken")


def test_doctor_misses_a_default_that_is_not_installed(lukv_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.describe_all
    monkeypatch.setattr(registry, "describe_all", lambda kind: [k for k in real(kind) if k.name != "lukv"])
    ended = lukv_bench("doctor", "--db", "out.db")
    assert ended.code == 1
    assert any(line.startswith("broken") and "allocator lukv" in line for line in ended.out.splitlines())


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_doctor_names_a_library_that_cannot_be_imported(program: Any, tmp_path: Path, package: str) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("raise ImportError('libfirst.so.3: cannot open')")
    ended = program("doctor", "--db", "out.db", env={"PYTHONPATH": str(tmp_path)})
    assert (ended.code, ended.err) == (1, "")
    found, cure = ended.out.split(f" {package} ", 1)[1].splitlines()[:2]
    assert "importing it fails with ImportError: libfirst.so.3: cannot open" in found
    assert f"pip install --force-reinstall {package}" in cure
    assert "\nok      database " in ended.out, "the rest is looked at"


def test_a_run_without_a_library_that_it_needs_refers_to_doctor(program: Any, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libfirst.so.3: cannot open')")
    ended = program("run", "--tasks", "niah_single_1", "--db", "out.db", env={"PYTHONPATH": str(tmp_path)})
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith(
        "lukv-bench: ImportError: libfirst.so.3: cannot open; `lukv-bench doctor`"
    )
    assert "Traceback" not in ended.err
