from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.bench.run.shard import WHOLE, Shard

LENGTHS = st.none() | st.integers(1, 10**6)


@given(st.integers(1, 12), st.text(min_size=1), LENGTHS, st.integers(0, 2**62), st.integers(0, 60))
def test_the_parts_hold_each_sample_once_and_are_even(n: int, task: str, length: int, seed: int, samples: int) -> None:
    parts = [Shard(index, n).ordinals(task, length, seed, samples) for index in range(1, n + 1)]
    assert sorted(ordinal for part in parts for ordinal in part) == list(range(samples))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_larger_limit_moves_no_sample() -> None:
    few, many = (Shard(2, 3).ordinals("qasper", None, 0, n) for n in (10, 100))
    assert few == {ordinal for ordinal in many if ordinal < 10}


def test_first_samples_of_many_tasks_are_spread() -> None:
    first = [len(Shard(1, 4).ordinals(f"task{i}", None, 0, 1)) for i in range(400)]
    assert 60 < sum(first) < 140


def test_a_text_is_read_as_it_is_typed() -> None:
    assert Shard.parse("2/8") == Shard(2, 8)
    assert Shard.parse(None) == WHOLE
