"""docs/methods/README.md is what the docstrings say."""

from pathlib import Path

import pytest

from lukv_bench.bench.plugins.method_pages import PLACE, method_page, page, read_details
from lukv_bench.bench.plugins.plugin import Description
from lukv_bench.bench.plugins.registry import describe_all

ROOT = Path(__file__).resolve().parents[3]
OWN = [known for kind in ("allocator", "scorer") for known in describe_all(kind) if known.distribution == "lukv-bench"]


def test_the_committed_page_is_what_the_docstrings_say() -> None:
    assert (ROOT / PLACE).read_text(encoding="utf-8") == page(ROOT), "stale: type `make docs`"


def test_every_method_has_a_section_and_every_argument_a_line() -> None:
    text = (ROOT / PLACE).read_text(encoding="utf-8")
    sections = {part.split("\n")[0]: part for part in text.split("\n### ")[1:]}
    names = [known.name for known in OWN]
    titles = [f"{known.name} ({known.kind})" if names.count(known.name) > 1 else known.name for known in OWN]
    assert sorted(sections) == sorted(titles)
    for known, title in zip(OWN, titles, strict=True):
        assert f"[{known.name}](#{title.replace('(', '').replace(')', '').replace(' ', '-')})" in text
        for argument in known.arguments:
            assert f"| `{argument.name}`: " in sections[title]


@pytest.mark.parametrize("known", OWN, ids=lambda known: known.name)
def test_a_method_says_where_it_comes_from_and_what_each_argument_does(known: Description) -> None:
    details = read_details(known.details)
    assert details.meanings.keys() == {argument.name for argument in known.arguments}
    assert all(details.meanings.values())
    if "arXiv" in known.source:
        assert any(paragraph.startswith("Source: ") for paragraph in details.paragraphs)
        assert any(paragraph.startswith("Differs from the paper: ") for paragraph in details.paragraphs)


def test_a_docstring_is_taken_apart() -> None:
    details = read_details(
        "score = a\n    + b\n\nSource: someone,\nsomewhere.\nDiffers from the paper: not.\n\n"
        "Attributes:\n    one: First\n        and more.\n    two: Second.\n\nAfterwards."
    )
    assert details.paragraphs == (
        "score = a\n    + b",
        "Source: someone,\nsomewhere.",
        "Differs from the paper: not.",
        "Afterwards.",
    )
    assert details.meanings == {"one": "First and more.", "two": "Second."}


def test_the_record_holds_the_whole_page() -> None:
    (lukv,) = (known for known in OWN if known.name == "lukv")
    page = method_page(lukv)
    assert "**Differs from the paper:**" in page.details
    assert "Attributes" not in page.details
    assert "```text" in next(method_page(known).details for known in OWN if known.name == "keydiff")
    assert [argument["name"] for argument in page.arguments] == [argument.name for argument in lukv.arguments]
    assert all(argument["meaning"] for argument in page.arguments)
