"""--length is for tasks that are made to a length; for the others it is not dropped without a word."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def data() -> Path:
    row = {"input": "Who?", "context": "The keeper lit the lamp. " * 9, "answers": ["the keeper"], "length": 9}
    row |= {"dataset": "hotpotqa", "language": "en", "all_classes": None, "_id": "1"}
    Path("data").mkdir()
    for name in ("hotpotqa", "2wikimqa", "musique", "qasper"):
        Path(f"data/{name}.jsonl").write_text(json.dumps(row | {"dataset": name}) + "\n")
    return Path("data")


ALL = "longbench_hotpotqa,longbench_2wikimqa,longbench_musique,longbench_qasper"


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ("longbench_hotpotqa", "--length does not apply to longbench_hotpotqa, whose samples"),
        (ALL, "longbench_hotpotqa, longbench_2wikimqa, longbench_musique and 1 more"),
    ],
)
@pytest.mark.parametrize("command", [("run", "--db", "out.db"), ("tasks", "export", "--out", "exported")])
def test_a_length_for_tasks_that_have_none_is_refused(
    tiny: Path, refused: Callable[..., str], data: Path, command: tuple[str, ...], tasks: str, words: str
) -> None:
    given = ("--model", tiny, "--tasks", tasks, "--data-dir", data, "--limit", "1")
    assert words in refused([*command, *given, "--length", "512"], "leave it out")


@pytest.mark.parametrize("command", [("run", "--no-baselines", "--allocator", "full"), ("tasks", "export")])
def test_beside_tasks_that_have_one_it_is_said_whom_it_does_not_apply_to(
    tiny: Path, lukv_bench: Any, data: Path, command: tuple[str, ...]
) -> None:
    out = ("--db", "out.db") if command[0] == "run" else ("--out", "exported")
    given = ("--model", tiny, "--tasks", "niah_single_1,longbench_hotpotqa", "--data-dir", data, "--limit", "1", *out)
    note = "--length does not apply to longbench_hotpotqa, whose samples are as long as their data"
    ended = lukv_bench(*command, *given, "--length", "360")
    assert ended.code == 0, ended.err
    assert note in ended.sentences
    assert note not in lukv_bench(*command, *given[:3], "longbench_hotpotqa", *given[4:]).sentences


@pytest.mark.parametrize("protocol", ["agnostic", "aware"])
def test_a_length_says_how_many_of_its_tokens_are_context_and_what_takes_the_rest(
    tiny: Path, lukv_bench: Any, query: Callable[[str], list[tuple[int, int]]], protocol: str
) -> None:
    given = ("--model", tiny, "--length", "512", "--limit", "1", "--protocol", protocol, "--db", "out.db")
    ended = lukv_bench("run", *given, "--tasks", "niah_single_1", "--allocator", "full", "--no-baselines")
    (note,) = [line for line in ended.sentences if line.startswith("--length")]
    ((context, question),) = query("SELECT n_context_tokens, n_question_tokens FROM answer")
    empty = 512 - context - question - 128
    assert 0 <= empty < 30, "less than a line of the haystack"
    rest = "128 kept free for the answer count, too" + (f"; {empty} stay empty" if empty else "")
    begin = f"--length 512 leaves {context} tokens of context"
    if protocol == "aware":
        assert note == f"{begin} and question: {rest}"
    else:
        assert note == f"{begin}: {question} of the question with its template and {rest}"


def test_several_tasks_and_lengths_are_a_line_a_length(tiny: Path, lukv_bench: Any) -> None:
    given = ("--model", tiny, "--length", "512,600", "--tasks", "niah_single_1,fwe", "--limit", "1", "--db", "out.db")
    ended = lukv_bench("run", *given, "--allocator", "uniform", "--dry-run")
    notes = [line for line in ended.sentences if line.startswith("--length")]
    assert [note.split()[1] for note in notes] == ["512", "600"]
    assert all(" to " in note.split(" tokens")[0] and "50 to 128 kept free" in note for note in notes)
