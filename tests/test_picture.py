"""The picture in CONTRIBUTING of how data flow from a command to an answer, held against the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NODE = re.compile(r'(\w+)\["([\w/.]+)"\]')
ARROW = re.compile(r'^\s*(\w+)(?:\["[^"]*"\])? -->\|(\w+)\| (\w+)')


def picture() -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.split("```mermaid\n")[1].split("```")[0].splitlines()[1:]


def arrows() -> list[tuple[str, str, str]]:
    """(from file, value, to file) of every arrow."""
    files = {name: path for line in picture() for name, path in NODE.findall(line)}
    found = [ARROW.match(line) for line in picture()]
    assert all(found), "a line of the picture is not an arrow"
    return [(files[arrow[1]], arrow[2], files[arrow[3]]) for arrow in found if arrow]


def names(path: str) -> set[str]:
    """Every name that a file defines, imports or uses, those of its annotations in quotes too."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return set(re.findall(r"\w+", text))


def imported_files(path: str) -> set[str]:
    """The file itself and the files that it imports from, those behind a package's `__init__` too."""
    found = {path}
    package = list(Path(path).parent.parts)
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            module = Path(*package[: len(package) - node.level + 1], *node.module.split("."))
            if (ROOT / module).is_dir():
                found |= imported_files((module / "__init__.py").as_posix())
            else:
                found.add(module.with_suffix(".py").as_posix())
    return found


def defines(path: str, value: str) -> bool:
    return bool(re.search(rf"^(class|def) {value}\b", (ROOT / path).read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize(("source", "value", "target"), arrows())
def test_an_arrow_is_in_the_code(source: str, value: str, target: str) -> None:
    assert value in names(source), f"{source} does not name {value}"
    assert value in names(target), f"{target} does not name {value}"
    both = imported_files(source) & imported_files(target)
    assert source in both or target in both or any(defines(path, value) for path in both), "they do not share it"


def test_the_picture_leads_from_the_command_to_the_results() -> None:
    reached, todo = set[str](), {"bench/cli/run.py"}
    while todo:
        here = todo.pop()
        reached.add(here)
        todo |= {target for source, _, target in arrows() if source == here} - reached
    assert {"bench/run/worker.py", "bench/engine/prefill.py", "db/store.py", "db/results.py"} <= reached
