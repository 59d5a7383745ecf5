"""What the site keeps of a database between two views."""

from typing import Any

from lukv_bench.leaderboard.record import Record


def test_what_is_looked_at_one_by_one_pushes_no_ranking_out() -> None:
    record = Record(reader=None, version=__name__, is_example=False)  # type: ignore[arg-type]  # nothing is read
    computed: list[str] = []

    def ranking() -> str:
        computed.append("ranking")
        return "ranks"

    def one_sample(reader: Any, number: int) -> int:
        return number

    record.derive(ranking, inputs=())
    assert [record.read(one_sample, number) for number in range(200)] == list(range(200))
    assert record.derive(ranking, inputs=()) == "ranks"
    assert computed == ["ranking"]
