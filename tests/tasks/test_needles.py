"""The samples of all eight tasks: their length, their haystack and their needles."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lukv_bench.tasks.catalog import expand, task_info
from lukv_bench.tasks.definitions import definition_files, read_definition
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.ruler.drafts import Knobs
from lukv_bench.tasks.ruler.essays import read_essays
from lukv_bench.tasks.ruler.haystacks import DEPTHS
from lukv_bench.tasks.ruler.wording import NOISE

Load = Callable[..., LoadedTask]
Count = Callable[[str, str], int]
NEEDLE = re.compile(r"One of the special magic (numbers|uuids) for (.+?) is: (\S+)\.(?=\s|$)")
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
FORMS = {"numbers": r"[1-9]\d{6}", "uuids": UUID4, "words": r".+-.+"}
TASKS = [name for name in expand(["ruler"]) if name.startswith("niah_")]
GRID = expand(["needle_grid"])


def knobs(name: str) -> Knobs:
    return Knobs(**read_definition(definition_files()[name])["dataset_kwargs"])


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.documents]


def haystack(document: Any) -> str:
    return str(document["context"]).split("\n", 1)[1]


def line_cost(count: Count, document: Any) -> int:
    """Tokens of the dearest line in the haystack, and a little for its joints."""
    return max(count(line, "") for line in set(haystack(document).split("\n"))) - count("", "") + 3


@pytest.mark.parametrize("counter", ["pieces", "quarters", "bpe"])
@pytest.mark.parametrize("name", TASKS)
def test_prompts_fill_their_length_and_never_exceed_it(
    load: Load, counters: dict[str, Count], name: str, counter: str
) -> None:
    count = counters[counter]
    for length in (512, 1000, 2048, 8192):
        room = length - 128
        for document in documents(load(name, counter, length=length)):
            left = room - count(user_text(document), document["answer_prefix"])
            essays = knobs(name).haystack == "essay"
            assert 0 <= left <= max(0.05 * room, 0 if essays else line_cost(count, document))


@given(st.sampled_from(TASKS), st.integers(512, 4096), st.integers(0, 2**40), st.data())
@settings(max_examples=40, deadline=None)
def test_any_length_and_seed(
    load: Load, counters: dict[str, Count], name: str, length: int, seed: int, data: st.DataObject
) -> None:
    counter = data.draw(st.sampled_from(["pieces", "quarters"]))
    for document in documents(load(name, counter, length=length, seed=seed)):
        assert counters[counter](user_text(document), document["answer_prefix"]) <= length - 128
        check_needles(name, document)


def check_needles(name: str, document: Any) -> None:
    knob = knobs(name)
    found = [match.groups() for match in NEEDLE.finditer(document["context"])]
    keys = Counter(key for _, key, _ in found)
    values = [value for _, _, value in found]
    assert len(set(values)) == len(values), "no value twice"
    assert set(keys.values()) == {knob.num_values}, "no key twice"
    if knob.haystack != "needle":
        assert len(keys) == knob.num_keys
    assert {kind for kind, _, _ in found} == {knob.values}
    assert all(re.fullmatch(FORMS[knob.keys], key) for key in keys)
    assert all(re.fullmatch(FORMS[knob.values], value) for value in values)
    assert len(document["outputs"]) == len(document["depths"]) == knob.num_queries * knob.num_values
    for output in document["outputs"]:
        assert document["context"].count(output) == 1
        assert output not in document["question"] + document["answer_prefix"]
    owners = {value: key for _, key, value in found}
    asked = list(dict.fromkeys(owners[output] for output in document["outputs"]))
    assert len(asked) == knob.num_queries
    *others, last = asked
    named = f"{', '.join(others)}, and {last}" if others else last
    one = len(document["outputs"]) == 1
    kind = knob.values[:-1] if one else knob.values
    assert document["question"] == (
        f"\nWhat {'is' if one else 'are all'} the special magic {kind} for {named} mentioned in the provided text?"
    )
    assert document["answer_prefix"] == (
        f"The special magic {kind} for {named} mentioned in the provided text {'is' if one else 'are'}"
    )


@pytest.mark.parametrize("name", [name for name in TASKS if not task_info(name).needs_essays])
def test_line_haystacks_hold_noise_or_needles_and_the_depth_is_the_line(load: Load, name: str) -> None:
    for document in documents(load(name, limit=5)):
        lines = haystack(document).split("\n")
        (place,) = [i for i, line in enumerate(lines) if document["outputs"][0] in line]
        rest = lines[:place] + lines[place + 1 :]
        assert place == int(len(rest) * document["depths"][0])
        noise = knobs(name).haystack == "noise"
        assert all(line == NOISE if noise else NEEDLE.fullmatch(line) for line in rest)


@pytest.mark.parametrize("name", [name for name in TASKS if task_info(name).needs_essays])
def test_essay_haystacks_are_the_essays_in_order_and_the_depth_counts_sentences(
    load: Load, essay_zip: Path, name: str
) -> None:
    essays = read_essays(essay_zip)
    for document in documents(load(name, limit=5, length=2048)):
        text = haystack(document)
        plain = NEEDLE.sub("", text).split()
        assert plain == list(essays.words[: len(plain)])
        sentences = essays.sentences(len(plain))
        assert set(document["depths"]) <= set(DEPTHS)
        assert len(set(document["depths"])) == len(document["depths"])
        for output, depth in zip(document["outputs"], document["depths"], strict=True):
            before = NEEDLE.sub("", text[: text.index(output)].rpartition("One of the special")[0])
            assert before.split() == " ".join(sentences[: int(len(sentences) * depth)]).split()


@pytest.mark.parametrize("length", [512, 2048])
def test_the_grid_hides_the_same_needle_at_its_depth(load: Load, essay_zip: Path, length: int) -> None:
    assert len(GRID) == 11
    asked = set()
    for percent, name in ((int(name.rpartition("_")[2]), name) for name in GRID):
        for document in documents(load(name, length=length)):
            check_needles(name, document)
            asked.add((document["index"], document["question"], document["outputs"][0]))
            text = haystack(document)
            before, after = text.split(NEEDLE.search(text)[0])  # type: ignore[index]
            sentences = read_essays(essay_zip).sentences(len((before + after).split()))
            assert before.split() == " ".join(sentences[: len(sentences) * percent // 100]).split()
    assert len(asked) == 2, "one needle for each sample, whatever the depth"


def test_depths_are_spread_over_the_whole_haystack(load: Load) -> None:
    for name in ("niah_single_1", "niah_single_2"):
        depths = [document["depths"][0] for document in documents(load(name, limit=60, length=512))]
        assert min(depths) < 0.15
        assert max(depths) > 0.85
        assert len(set(depths)) > 20


def test_rulers_depths() -> None:
    assert [round(100 * depth) for depth in DEPTHS] == list(np.round(np.linspace(0, 100, num=40)).astype(int))
