"""What is on disk and what is packaged are the same."""

import ast
import re
import sys
import tomllib
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("bench", "allocators", "scorers", "kernels", "tasks", "leaderboard", "db")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECIPE = (ROOT / "leaderboard" / "Containerfile", ROOT / "leaderboard" / "requirements.txt")
"""How a container of the site alone is built: no part of the package."""

SETUPTOOLS = PYPROJECT["tool"]["setuptools"]


def test_every_folder_of_code_is_packaged() -> None:
    said = set(SETUPTOOLS["packages"])
    here = {"lukv_bench"} | {
        ".".join(("lukv_bench", *found.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for found in (ROOT / folder).rglob("__init__.py")
    }
    assert said == here


def test_every_folder_that_holds_code_is_a_package() -> None:
    lost = {
        found.parent
        for folder in FOLDERS
        for found in (ROOT / folder).rglob("*.py")
        if not (found.parent / "__init__.py").is_file()
    }
    assert not lost


def test_every_data_file_is_packaged() -> None:
    data = SETUPTOOLS["package-data"]
    said = {
        path.relative_to(ROOT)
        for package, patterns in data.items()
        for pattern in patterns
        for path in (ROOT / Path(*package.split(".")[1:])).glob(pattern)
    }
    here = {
        path.relative_to(ROOT)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts and path not in RECIPE
    }
    assert here <= said


def test_no_other_code_lies_in_the_root() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]


def test_the_calibration_texts_are_found_by_the_installed_package() -> None:
    folder = resources.files("lukv_bench.bench") / "texts"
    assert (folder / "narrative.txt").is_file()


def test_a_container_is_built_from_all_that_a_wheel_needs() -> None:
    project = PYPROJECT["project"]
    given = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert all((ROOT / path).exists() for path in given)
    assert given >= {
        *FOLDERS,
        "pyproject.toml",
        "__init__.py",
        "py.typed",
        project["readme"],
        *project["license-files"],
    }
    recipe = (ROOT / "Containerfile").read_text()
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", recipe, re.MULTILINE)) - {"."}
    assert copied <= given
    (entry,) = re.findall(r'^ENTRYPOINT \["(.+)"\]$', recipe, re.MULTILINE)
    assert entry in project["scripts"]


def test_the_site_s_own_list_has_all_that_it_imports_in_the_versions_of_the_package() -> None:
    listed = {line for line in RECIPE[1].read_text().splitlines() if not line.startswith("#")}
    assert listed <= set(PYPROJECT["project"]["dependencies"])
    names = {re.split(r"[<>=]", line)[0] for line in listed}
    imported = {
        module.split(".")[0]
        for room in ("db", "leaderboard")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for module in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    assert imported - sys.stdlib_module_names - {"lukv_bench"} <= names
    assert not names & {"torch", "transformers", "lm-eval"}
