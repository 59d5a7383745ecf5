"""docs/plugins.md lists all that a plugin is shown."""

import dataclasses
from pathlib import Path

import pytest

from lukv_bench.allocators.base import AllocationRequest, Needs
from lukv_bench.scorers.base import CalibrationDocument, LayerView, Reads

PAGE = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("shown", [LayerView, AllocationRequest, CalibrationDocument], ids=lambda shown: shown.__name__)
def test_every_field_stands_in_its_table(shown: type) -> None:
    _, _, section = PAGE.partition(f"`{shown.__name__}`")
    table = "\n".join(line for line in section.split("\n\n")[1].splitlines() if line.startswith("| `"))
    names = {name.strip(" `") for line in table.splitlines() for name in line.split("|")[1].split(",")}
    assert names == {field.name for field in dataclasses.fields(shown)}


def test_every_thing_to_be_asked_for_is_named() -> None:
    for field in dataclasses.fields(Reads):
        assert f"`Reads.{field.name}`" in PAGE
    for need in Needs:
        assert f"Needs.{need.name}" in PAGE
