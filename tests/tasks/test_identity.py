"""What a sample depends on, and what is said when samples cannot be made."""

import hashlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.tasks.catalog import expand
from lukv_bench.tasks.definitions import definition_files, read_definition
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.request import Request
from lukv_bench.tasks.ruler.draws import Fresh, number, sample_rng, uuid4
from lukv_bench.tasks.ruler.loader import documents as ruler_documents

Load = Callable[..., LoadedTask]
Count = Callable[[str, str], int]
TASKS = expand(["ruler", "needle_grid_50"])


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.documents]


@pytest.mark.parametrize("name", TASKS)
def test_a_sample_depends_on_neither_limit_nor_order_nor_the_global_generator(load: Load, name: str) -> None:
    random.seed(1)
    three = documents(load(name, limit=3))
    random.seed(2)
    load(TASKS[0], limit=1)
    five = documents(load(name, limit=5))
    assert five[:3] == three
    assert [document["index"] for document in five] == [0, 1, 2, 3, 4]
    assert len({tuple(document["outputs"]) for document in five}) == 5


@pytest.mark.parametrize("name", TASKS)
def test_the_global_generator_is_left_alone(
    essay_zip: Path, qa_dir: Path, counters: dict[str, Count], name: str
) -> None:
    """Asked of the generator itself: lm-eval draws from the global one when it makes a task."""
    definition = read_definition(definition_files()[name])
    folder = qa_dir if name.startswith("qa_") else None
    request = Request(name, 2048, 0, 2, counters["quarters"], lambda: essay_zip, folder)
    state = random.getstate()
    assert len(list(ruler_documents(definition, request).documents)) == 2
    assert random.getstate() == state


@pytest.mark.parametrize("other", [{"seed": 1}, {"length": 2049}])
@pytest.mark.parametrize("name", TASKS)
def test_seed_and_length_draw_other_samples(load: Load, name: str, other: dict[str, int]) -> None:
    given = {"length": 2048}
    ours, others = (documents(load(name, **asked))[0] for asked in (given, given | other))
    asked = "context" if name.startswith("qa_") else "outputs"  # QA asks RULER's questions whatever the seed
    assert ours[asked] != others[asked]


class Rigged(random.Random):
    """Draws each number many times over."""

    def __init__(self, numbers: int) -> None:
        super().__init__(0)
        self.numbers = numbers

    def randint(self, a: int, b: int) -> int:
        return a + super().randrange(self.numbers)


def test_nothing_is_drawn_twice_in_a_sample() -> None:
    fresh = Fresh(Rigged(20))
    assert len({fresh("numbers") for _ in range(20)}) == 20
    with pytest.raises(UserError, match="not enough different numbers"):
        fresh("numbers")


def test_the_draws_stay_what_they_were() -> None:
    """Answers are kept under the samples' identity, so these may only change with the task's version."""
    rng = sample_rng("niah_multikey_3", 4096, 0, 0)
    assert (uuid4(rng), number(rng)) == ("4e6c7344-6b20-49b8-af47-092c3b2fee32", "6113000")


def test_the_samples_stay_what_they_were(load: Load) -> None:
    """Of a task without outside data, so that only a change of ours can change them."""
    first, second = documents(load("niah_multikey_3", length=512, seed=7))
    assert (first["outputs"], [round(depth, 6) for depth in first["depths"]]) == (
        ["3df2e7c5-9eb6-4760-8d2d-8c3ec087c1c1"],
        [0.303589],
    )
    assert (second["outputs"], [round(depth, 6) for depth in second["depths"]]) == (
        ["69d80d9a-0674-42bc-85aa-32dd45c61820"],
        [0.711573],
    )


PINNED = {
    "niah_multikey_1": "61cffb08594bc494",
    "niah_multikey_2": "7a3b51ac64c8f1d4",
    "niah_multikey_3": "ade28cb1a06c63b5",
    "niah_multiquery": "33e52866b438654c",
    "niah_multivalue": "7c3181790aff5ea4",
    "niah_single_1": "855a964048714d72",
    "niah_single_2": "01dcd1b26be7a1b7",
    "niah_single_3": "17384d13bda558ef",
    "cwe": "29ede52280907585",
    "fwe": "06f8719479967852",
    "needle_grid_50": "869ea179906c8441",
    "qa_1": "8ef350d33bf910e5",
    "qa_2": "ed78586070a9ed5f",
    "vt": "6d2e089932ad5463",
}
"""Those of the needle tasks were taken before the line end between context and question moved into the question,
which changed no prompt."""


@pytest.mark.parametrize("name", PINNED)
def test_the_rendered_prompts_stay_what_they_were(
    load: Load, lm_eval_requests: Callable[..., Any], made_up_zip: Path, name: str
) -> None:
    """Needs the tested version of wonderwords, whose lists the keys come from."""
    loaded = load(name, seed=3, essay_archive=lambda: made_up_zip)
    prompts = "\0".join(instance.args[0] for instance in lm_eval_requests(loaded))
    assert hashlib.sha256(prompts.encode()).hexdigest()[:16] == PINNED[name]


@pytest.mark.parametrize("counter", ["pieces", "quarters", "bpe"])
@pytest.mark.parametrize("name", TASKS)
def test_below_its_least_length_a_task_names_one_that_works(load: Load, name: str, counter: str) -> None:
    with pytest.raises(UserError) as error:
        documents(load(name, counter, length=140, limit=4))
    said = re.fullmatch(
        rf"{name} does not fit into 140 tokens: with this tokenizer 4 samples need another length, for "
        r"example (\d+)\.",
        str(error.value),
    )
    assert said, error.value
    assert len(documents(load(name, counter, length=int(said[1]), limit=4))) == 4


def test_what_is_named_is_no_least_length_where_shorter_lists_have_fewer_repeats(load: Load) -> None:
    """cwe below 4096 repeats its words less often: a tokenizer of letters that 4096 is too short for fits into 4095."""
    asked = {"limit": 2, "count_prompt": lambda user, prefix: len(user + prefix)}
    with pytest.raises(UserError, match=r"into 4096 tokens: .* need another length, for example \d+\.$") as error:
        documents(load("cwe", length=4096, **asked))
    for length in (4095, int(re.findall(r"example (\d+)", str(error.value))[0])):
        assert len(documents(load("cwe", length=length, **asked))) == 2


@pytest.mark.parametrize("asked", [{"length": 0}, {"length": -5}, {"length": None}, {"limit": 0}])
def test_what_cannot_be_asked(load: Load, asked: dict[str, int | None]) -> None:
    with pytest.raises(UserError, match="niah_single_1"):
        documents(load("niah_single_1", **asked))


@pytest.mark.parametrize("name", TASKS)
def test_a_document_is_made_when_it_is_read_whatever_was_read_before(
    load: Load, counters: dict[str, Count], name: str
) -> None:
    counted: list[str] = []

    def count(user: str, prefix: str) -> int:
        counted.append(user)
        return counters["quarters"](user, prefix)

    loaded = load(name, limit=4, count_prompt=count)
    assert (len(loaded.documents), counted) == (4, [])
    last = loaded.documents[3]
    assert counted, "the document was filled now"
    assert list(loaded.documents)[3] == loaded.documents[3] == last
    assert [document["index"] for document in loaded.documents] == [0, 1, 2, 3]
    with pytest.raises(IndexError):
        loaded.documents[4]


def test_a_later_sample_that_does_not_fit_fails_alone(load: Load) -> None:
    """Names are of different lengths, so a length that the first sample just fits into is too short for others."""
    asked = {"count_prompt": lambda user, prefix: len(user + prefix)}
    with pytest.raises(UserError) as error:
        documents(load("niah_single_1", length=140, limit=1, **asked))
    least = int(re.findall(r"example (\d+)", str(error.value))[0])
    loaded = load("niah_single_1", length=least, limit=9, **asked)
    failed = {}
    for index in range(9):
        try:
            assert loaded.documents[index]["index"] == index
        except UserError as error:
            failed[index] = str(error)
    assert 0 not in failed
    assert 1 <= len(failed) < 8
    for index, message in failed.items():
        taken = re.fullmatch(
            rf"sample {index} of niah_single_1 takes at least (\d+) tokens with its answer; "
            rf"ask for a length of more than {least}\.",
            message,
        )
        assert taken
        assert int(taken[1]) > least
