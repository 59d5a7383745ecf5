"""The rooms keep to the order in which they may know each other."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "kernels": set(),
    "scorers": {"kernels"},
    "allocators": {"kernels", "scorers"},
    "tasks": set(),
    "db": set(),
    "bench": {"kernels", "scorers", "allocators", "tasks", "db"},
    "leaderboard": {"db"},
}
FORBIDDEN_PACKAGES = {
    "kernels": {"transformers", "sqlalchemy", "lm_eval"},
    "scorers": {"transformers", "sqlalchemy", "lm_eval"},
    "allocators": {"transformers", "sqlalchemy", "lm_eval"},
    "tasks": {"torch", "transformers", "sqlalchemy", "tokenizers"},
    "db": {"torch", "transformers", "lm_eval"},
    "bench": {"streamlit"},
    "leaderboard": {"torch", "transformers"},
}


@cache
def imports(room: str) -> tuple[tuple[Path, str], ...]:
    """(file, absolute module) of every import in a room."""
    return tuple(_imports(room))


def _imports(room: str) -> Iterator[tuple[Path, str]]:
    for path in (ROOT / room).rglob("*.py"):
        package = ["lukv_bench", *path.relative_to(ROOT).parent.parts]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield path, name.name
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                module = ".".join([*base, *([node.module] if node.module else [])])
                for name in node.names:
                    yield path, f"{module}.{name.name}"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_knows_only_rooms_before_it(room: str) -> None:
    allowed = {room, *MAY_IMPORT[room]}
    wrong = [
        (path.name, module)
        for path, module in imports(room)
        if module.startswith("lukv_bench.")
        and module.split(".")[1] in MAY_IMPORT
        and module.split(".")[1] not in allowed
    ]
    assert not wrong


def bench_rooms() -> list[str]:
    """The rooms of bench in their order, as CONTRIBUTING gives it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    order = text.split("Inside `bench` the same holds, in this order:")[1].split(".\n")[0]
    return re.findall(r"`(\w+)`", order)


def test_every_room_of_bench_has_its_place() -> None:
    there = {path.stem for path in (ROOT / "bench").iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert there - {"__init__"} == set(bench_rooms())


@pytest.mark.parametrize("room", bench_rooms())
def test_a_room_of_bench_knows_only_rooms_before_it(room: str) -> None:
    order = bench_rooms()
    later = set(order[order.index(room) + 1 :])
    wrong = [
        (path.name, module)
        for path, module in imports("bench")
        if path.relative_to(ROOT / "bench").parts[0].removesuffix(".py") == room
        and module.startswith("lukv_bench.bench.")
        and module.split(".")[2] in later
    ]
    assert not wrong


@pytest.mark.parametrize("room", FORBIDDEN_PACKAGES)
def test_a_room_stays_free_of_what_it_must_not_know(room: str) -> None:
    wrong = [(path.name, module) for path, module in imports(room) if module.split(".")[0] in FORBIDDEN_PACKAGES[room]]
    assert not wrong


def test_imports_inside_the_package_are_relative() -> None:
    wrong = [
        path
        for room in MAY_IMPORT
        if room != "leaderboard"
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("lukv_bench")
    ]
    assert not wrong
