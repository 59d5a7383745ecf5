"""The list of samples."""

import pytest

from lukv_bench.leaderboard.tables.samples import facets_line


@pytest.mark.parametrize(
    ("facets", "line"),
    [
        (None, None),
        ({}, None),
        ({"depths": [0.38, 0.5], "hops": 2}, "depths 0.38, 0.5; hops 2"),
        ({"group": {"a": 1}}, 'group {"a": 1}'),
        ("broken", "broken"),
    ],
)
def test_facets_are_words(facets: object, line: str | None) -> None:
    assert facets_line(facets) == line
