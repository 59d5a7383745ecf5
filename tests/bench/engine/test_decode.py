"""Generation: where it stops, what it returns, and rows that do not disturb each other."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench.bench.engine.decode import Decoding, decode
from lukv_bench.bench.engine.evict import evict, keep_everything, share
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.stop import Stop

Ids = Callable[[int, int], list[int]]
N_TOKENS = 37
EOS = 5


def answer(llama: Any, some_ids: Ids, forced: type, tokens: list[int], stop: Stop) -> Decoding:
    """What comes back when the model says these tokens, one after the other."""
    context = prefill(llama.loaded, some_ids(N_TOKENS, 0), {})
    cache = evict(context, keep_everything(context), 0)
    return decode(llama.loaded, cache, [some_ids(4, 1)], stop, forced([[token] for token in tokens]))


@pytest.mark.parametrize("n_tokens", [1, 2, 7])
def test_generates_exactly_max_new_tokens(llama: Any, some_ids: Ids, forced: type, n_tokens: int) -> None:
    said = some_ids(n_tokens, 2)
    decoding = answer(llama, some_ids, forced, said, Stop(n_tokens, frozenset()))
    (row,) = decoding.rows
    assert row.ids == said
    assert row.stop_reason == "length"
    assert row.text == llama.loaded.tokenizer.decode(said)
    assert decoding.first_token_s > 0
    assert (decoding.tpot_s is None) == (n_tokens == 1)


def test_no_token_is_generated_where_none_may_be(llama: Any, some_ids: Ids, forced: type) -> None:
    (row,) = answer(llama, some_ids, forced, some_ids(3, 2), Stop(0, frozenset())).rows
    assert row.ids == []


@pytest.mark.parametrize("at", [0, 1, 4])
def test_eos_ends_the_answer_and_is_no_part_of_it(llama: Any, some_ids: Ids, forced: type, at: int) -> None:
    said = [token + 1 if token == EOS else token for token in some_ids(at, 3)]
    (row,) = answer(llama, some_ids, forced, [*said, EOS], Stop(9, frozenset({3, EOS, 99}) - set(said))).rows
    assert row.ids == said
    assert row.stop_reason == "eos"
    assert row.text == llama.loaded.tokenizer.decode(said)


def test_greedy_answers_end_at_eos_as_they_would_have_gone_on(llama: Any, some_ids: Ids) -> None:
    context = prefill(llama.loaded, some_ids(N_TOKENS, 4), {})

    def greedy(eos: frozenset[int]) -> Any:
        cache = evict(context, keep_everything(context), 0)
        return decode(llama.loaded, cache, [some_ids(4, 5)], Stop(12, eos)).rows[0]

    unstopped = greedy(frozenset()).ids
    assert len(unstopped) == 12
    stopped = greedy(frozenset({unstopped[6]}))
    assert stopped.ids == unstopped[: unstopped.index(unstopped[6])]
    assert stopped.stop_reason == "eos"


@pytest.mark.parametrize(
    ("spoken", "strings", "text", "n_ids"),
    [
        ("the answer\nQuestion: no", ("\nQ",), "the answer", 12),
        ("the answer\nQuestion: no", ("Question", "\n"), "the answer", 11),
        ("the answer\nQuestion: no", ("\n", "answer\n"), "the answer", 11),
        ("the answer\nQuestion: no", ("answer\n", "\n"), "the ", 11),
        ("Question: no", ("Question",), "", 8),
        ("abcabd", ("abd",), "abc", 6),
        ("nothing here", ("\n",), "nothing here", 12),
        ("nothing here", (), "nothing here", 12),
    ],
)
def test_stop_strings_end_the_answer_and_cut_the_text(
    llama: Any, some_ids: Ids, forced: type, spoken: str, strings: tuple[str, ...], text: str, n_ids: int
) -> None:
    tokens = llama.loaded.tokenizer.spell(spoken)
    (row,) = answer(llama, some_ids, forced, tokens, Stop(len(tokens), frozenset(), strings)).rows
    assert row.text == text
    assert row.ids == tokens[:n_ids]
    assert row.stop_reason == ("stop_string" if text != spoken else "length")


def test_special_tokens_are_no_part_of_the_text(llama: Any, some_ids: Ids, forced: type) -> None:
    spell = llama.loaded.tokenizer.spell
    said = [*spell("so"), 0, *spell("me")]
    (row,) = answer(llama, some_ids, forced, said, Stop(5, frozenset())).rows
    assert (row.ids, row.text) == (said, "some")


def test_several_questions_as_a_batch_answer_as_each_alone(
    tiny: Any, some_ids: Ids, forced: type, assert_generates: Callable[..., None]
) -> None:
    ids, n_steps = some_ids(N_TOKENS, 6), 10
    questions = [some_ids(n, 10 + n) for n in (3, 14, 1, 9)]
    context = prefill(tiny.loaded, ids, {})
    stop = Stop(n_steps, frozenset())
    script = [some_ids(4, 20 + step) for step in range(n_steps)]
    together = forced(script)
    decode(tiny.loaded, share(context, 4, 2), questions, stop, together)
    greedy = decode(tiny.loaded, share(context, 4, 2), questions, stop).rows
    for row, question in enumerate(questions):
        alone = forced([[step[row]] for step in script])
        decode(tiny.loaded, share(context, 1, 40), [question], stop, alone)
        torch.testing.assert_close(together.seen[:, row], alone.seen[:, 0], atol=1e-3, rtol=0)
        assert_generates(tiny.plain, [*ids, *question], greedy[row].ids, n_steps)


def test_a_stopped_row_leaves_the_batch_and_disturbs_no_other(tiny: Any, some_ids: Ids, forced: type) -> None:
    n_steps, questions = 8, [some_ids(n, 30 + n) for n in (5, 2, 9)]
    script = [[token % 40 + 10 for token in some_ids(3, 40 + step)] for step in range(n_steps)]
    script[2][0] = EOS  # row 0 says two tokens, row 1 none, row 2 all
    script[0][1] = EOS
    context = prefill(tiny.loaded, some_ids(N_TOKENS, 7), {})
    together, cache = forced(script), share(context, 3, 1)
    rows = decode(tiny.loaded, cache, questions, Stop(n_steps, frozenset({EOS})), together).rows
    assert [row.stop_reason for row in rows] == ["eos", "eos", "length"]
    assert [row.ids for row in rows] == [[s[0] for s in script[:2]], [], [s[2] for s in script]]
    for store in cache.stores:
        assert store.rows.tolist() == [2]
        assert set(store.tail.segments.lengths.flatten().tolist()) == {9 + n_steps - 1}
    alone = forced([[step[2]] for step in script])
    decode(tiny.loaded, share(context, 1, 40), questions[2:], Stop(n_steps, frozenset()), alone)
    torch.testing.assert_close(together.seen[:, 2], alone.seen[:, 0], atol=1e-3, rtol=0)
    assert together.seen.isfinite().all()


def test_rows_stop_at_their_own_stop_strings(llama: Any, some_ids: Ids, forced: type) -> None:
    spell = llama.loaded.tokenizer.spell
    lines = ["yes\nand so on", "perhaps\nnot x", "never mind it"]
    script = list(zip(*(spell(line) for line in lines), strict=True))
    context = prefill(llama.loaded, some_ids(N_TOKENS, 8), {})
    cache = share(context, 3, 0)
    rows = decode(llama.loaded, cache, [some_ids(4, 9)] * 3, Stop(13, frozenset(), ("\n",)), forced(script)).rows
    assert [row.text for row in rows] == ["yes", "perhaps", "never mind it"]
    assert [row.stop_reason for row in rows] == ["stop_string", "stop_string", "length"]
    assert cache.stores[0].rows.tolist() == [2]
    assert set(cache.stores[0].tail.segments.lengths.flatten().tolist()) == {4 + 12}


def test_nothing_is_fed_after_the_last_token(llama: Any, some_ids: Ids, forced: type) -> None:
    context = prefill(llama.loaded, some_ids(N_TOKENS, 9), {})
    cache = evict(context, keep_everything(context), 0)
    decode(llama.loaded, cache, [some_ids(4, 1)], Stop(5, frozenset()), forced([[9]] * 5))
    assert all((store.kv.segments.lengths == N_TOKENS + 4 + 4).all() for store in cache.stores)


@pytest.mark.parametrize("lead", ["", "\n", "\n\n"])
def test_the_first_line_that_holds_anything_ends_the_answer(llama: Any, some_ids: Ids, forced: type, lead: str) -> None:
    said = llama.loaded.tokenizer.spell(f"{lead}two words\nand more")
    (row,) = answer(llama, some_ids, forced, said, Stop(30, frozenset(), first_line=True)).rows
    assert row.text == f"{lead}two words"
    assert row.stop_reason == "stop_string"
    assert len(row.ids) == len(f"{lead}two words\n"), "nothing is generated behind the line's end"


@given(st.text(alphabet="ab \n", max_size=12), st.lists(st.sampled_from(["ab", "b", " \n"]), max_size=2), st.booleans())
def test_a_text_ends_where_its_shortest_stopped_beginning_does(text: str, strings: list[str], line: bool) -> None:
    stop = Stop(9, frozenset(), tuple(strings), line)

    def stops(beginning: str) -> bool:
        has_line = line and "\n" in beginning.lstrip("\n")
        return has_line or any(string in beginning for string in strings)

    stopped = next((text[:n] for n in range(len(text) + 1) if stops(text[:n])), None)
    end = stop.end(text)
    assert (end is None) == (stopped is None)
    if stopped is not None and end is not None:
        assert not stops(text[:end])
        assert stops(text[: end + 2])
        if line and not strings:
            assert text[:end].lstrip("\n") == text.lstrip("\n").split("\n")[0], "what LongBench scores"
