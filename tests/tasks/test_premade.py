"""Samples that RULER made, read from a folder: cut at the question, put and scored as they were."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_eval.tasks.ruler import common_utils, cwe_utils, fwe_utils, vt_utils

from lukv_bench import UserError
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.ruler.vt import Chain
from lukv_bench.tasks.ruler.wording import NOISE

Load = Callable[..., LoadedTask]
ROWS = "ruler/niah_multikey_3_4096.jsonl"
QUESTIONS = {
    "niah_single_1": "\nWhat is the special magic number for a-b mentioned in the provided text?",
    "niah_multiquery": "\nWhat are all the special magic numbers for a, and b mentioned in the provided text?",
    "vt": "\nQuestion: Find all variables that are assigned the value 12345 in the text above.",
    "cwe": "\nQuestion: What are the 10 most common words in the above list?",
    "fwe": "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most "
    "frequently appeared words in the above coded text?",
    "qa_1": "\n\nAnswer the question based on the given documents. Only give me the answer and do not output any "
    "other words.\n\nQuestion: Is this the Answer: or not?",
}
PREFIXES = {
    "niah_single_1": "The special magic number for a-b mentioned in the provided text is",
    "niah_multiquery": "The special magic numbers for a, and b mentioned in the provided text are",
    "vt": "Answer: According to the chain(s) of variable assignment in the text above, 5 variables are assgined the "
    "value 12345, they are:",
    "cwe": "Answer: The top 10 words that appear most often in the list are:",
    "fwe": "Answer: According to the coded text above, the three most frequently appeared words are:",
    "qa_1": "Answer:",
}


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.documents]


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path.parent


def rulers_row(name: str, **own: object) -> dict[str, object]:
    """As NVIDIA/RULER wrote them first, with the same question once more in front (a worked example)."""
    text = f"Begin.{QUESTIONS[name]} {PREFIXES[name]} x\nNoise {{{{x}}}} 中文."
    return {"index": 0, "input": f"{text}{QUESTIONS[name]} {PREFIXES[name]} ", "outputs": ["12"], "length": 900} | own


@pytest.mark.parametrize("name", QUESTIONS)
def test_all_three_forms_are_cut_at_the_last_question(load: Load, tmp_path: Path, name: str) -> None:
    whole = rulers_row(name)
    cut = str(whole["input"])[: -len(PREFIXES[name]) - 2]
    newer = whole | {"input": cut, "answer_prefix": f" {PREFIXES[name]} "}
    lm_eval = whole | {"input": cut, "gen_prefix": PREFIXES[name], "max_length": 1024}
    for form in (whole, newer, lm_eval):
        (document,) = documents(load(name, length=1024, data_dir=write(tmp_path / f"{name}.jsonl", form)))
        assert document["question"] == QUESTIONS[name]
        assert document["answer_prefix"] == PREFIXES[name]
        assert document["context"] == cut.removesuffix(QUESTIONS[name])
        assert f"{user_text(document)} {document['answer_prefix']} " == whole["input"]
        assert (document["outputs"], document["task"], document["index"]) == (["12"], name, 0)


def test_rulers_own_file_comes_out_to_the_letter(load: Load, shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / ROWS).read_text().splitlines()]
    loaded = load("niah_multikey_3", length=4096, limit=40, data_dir=shared_data / "ruler")
    assert len(rows) == len(loaded.documents) == 40
    for row, document in zip(rows, documents(loaded), strict=True):
        assert f"{user_text(document)} {document['answer_prefix']}" == row["input"]
        assert document["outputs"] == row["outputs"]
        assert row["outputs"][0] in document["context"]
        assert re.fullmatch(r"\nWhat is the special magic uuid for \S{36} mentioned in .* text\?", document["question"])
    with pytest.raises(UserError, match=r"holds niah_multikey_3_4096 and not niah_multikey_3_2048"):
        load("niah_multikey_3", length=2048, data_dir=shared_data / "ruler")


class Words:
    """A tokenizer for lm-eval's generators."""

    def __call__(self, text: str) -> Any:
        return type("Encoding", (), {"input_ids": re.findall(r"\w+|[^\w\s]", text)})


def stock_rows(name: str) -> list[dict[str, Any]]:
    random.seed(5)  # lm-eval draws from the global generators
    np.random.seed(5)
    if name == "vt":
        example = vt_utils.sys_vartrack_w_noise_random(Words(), 1, 500, incremental=5)[0]
        return vt_utils.sys_vartrack_w_noise_random(Words(), 5, 2048, icl_example=example)
    if name == "cwe":
        return cwe_utils.sys_word_pair_random(5, 2048, Words())
    return fwe_utils.sys_kwext(Words(), 2048, num_samples=5)


@pytest.mark.parametrize("name", ["vt", "cwe", "fwe"])
def test_stock_samples_are_put_and_scored_as_lm_eval_does(
    load: Load, lm_eval_requests: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    rows = stock_rows(name)
    loaded = load(name, length=2048, limit=5, data_dir=write(tmp_path / f"{name}.jsonl", *rows))
    for row, document, instance in zip(rows, documents(loaded), lm_eval_requests(loaded), strict=True):
        # lm-eval's own template: {{input}}, then a space and the prefix
        assert instance.args[0] == f"{row['input']} {row['gen_prefix']}"
        half = row["outputs"][: len(row["outputs"]) // 2]
        for text in ("", " ".join(row["outputs"]).upper(), ", ".join(half), "\x01none of them\n"):
            stock = common_utils.process_results(row, [text])[str(row["max_length"])]
            assert loaded.lm_eval_task.process_results(document, [text])["score"] == pytest.approx(stock)


@pytest.mark.parametrize("name", ["vt", "cwe", "fwe"])
def test_our_samples_have_the_shape_of_stock_ones(load: Load, tmp_path: Path, name: str) -> None:
    """The same words, but for names, numbers and the amount of noise. lm-eval's cwe lacks the worked example."""

    def masked(text: str) -> str:
        return re.sub(r"\b(?!VAR\b)[A-Z]{3}\b|\b[A-Z]{5}\b|\b\d{5}\b", "#", text.replace(NOISE, "")).strip()

    (stock,) = documents(
        load(name, limit=1, data_dir=write(tmp_path / f"{name}.jsonl", *stock_rows(name)), length=2048)
    )
    (ours,) = documents(load(name, limit=1, length=2048))
    for field in ("question", "answer_prefix"):
        assert masked(ours[field]) == masked(stock[field])
    assert len(ours["outputs"]) == len(stock["outputs"])
    if name == "vt":
        for mine, theirs in zip(*(made["context"].split("\n\n\n\n") for made in (ours, stock)), strict=True):
            assert masked(mine).split() == masked(theirs).split()
    if name == "cwe":
        assert ours["context"].count(stock["context"].split("\n")[0]) == 2
    if name == "fwe":
        assert ours["context"].split("words. ")[0] == stock["context"].split("words. ")[0]


def test_lm_evals_chains_come_out_to_the_letter(load: Load, tmp_path: Path) -> None:
    folder = write(tmp_path / "vt.jsonl", *stock_rows("vt"))
    for document in documents(load("vt", limit=5, length=2048, data_dir=folder)):
        own = document["context"].split("\n\n\n\n")[1].split("\n\n", 1)[1]
        places = [own[: own.index(f"VAR {name} =")].count(NOISE) for name in document["outputs"]]
        lines = own.count(NOISE)
        depths = tuple((place - j + 0.5) / (lines - 4) for j, place in enumerate(places))
        value = int(re.findall(r"value (\d+)", document["question"])[0])
        assert Chain(value, tuple(document["outputs"]), depths).text(lines) == own


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"input": "text"}, "fields are expected, `input`"),
        ({"input": 3, "outputs": ["a"]}, "fields are expected, `input`"),
        ({"input": "text", "outputs": []}, "fields are expected, `input`"),
        (rulers_row("vt", outputs=[""]), "none of them empty"),
        (rulers_row("vt", outputs=[3]), "list of texts"),
        (rulers_row("cwe"), "row 2: `input` has no question of vt"),
        ({"input": QUESTIONS["vt"], "outputs": ["a"], "length": 900}, "`input` has no question of vt"),
        (rulers_row("vt", answer_prefix=5), "`answer_prefix` (or `gen_prefix`) has to be a text"),
        (rulers_row("vt", gen_prefix=["a"]), "`answer_prefix` (or `gen_prefix`) has to be a text"),
    ],
)
def test_a_row_of_another_shape_is_told_by_its_number(load: Load, tmp_path: Path, row: object, said: str) -> None:
    folder = write(tmp_path / "vt.jsonl", rulers_row("vt"), row)
    with pytest.raises(UserError, match=rf"vt\.jsonl, row 2: .*{re.escape(said.removeprefix('row 2: '))}"):
        documents(load("vt", data_dir=folder))


def test_files_are_found_by_length_and_as_ruler_lays_them_out(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "vt_1024.jsonl", rulers_row("vt", outputs=["by length"], length=700))
    write(tmp_path / "vt.jsonl", rulers_row("vt", outputs=["plain"]))
    write(tmp_path / "cwe" / "validation.jsonl", rulers_row("cwe", outputs=["RULER's"]))
    said = [documents(load(name, length=1024, data_dir=tmp_path))[0]["outputs"] for name in ("vt", "cwe")]
    assert said == [["by length"], ["RULER's"]]
    assert documents(load("fwe", length=1024, data_dir=tmp_path))[0]["context"].startswith("Read the following")


@pytest.mark.parametrize("length", [800, 1800, 4096])
def test_a_file_made_to_another_length_is_refused(load: Load, tmp_path: Path, length: int) -> None:
    folder = write(tmp_path / "vt.jsonl", rulers_row("vt", length=880), rulers_row("vt", length=900))
    with pytest.raises(UserError, match=rf"holds samples of up to 900 tokens: ask for such a length, not {length}\."):
        load("vt", length=length, data_dir=folder)
    folder = write(tmp_path / "vt.jsonl", *(rulers_row("vt", max_length=size) for size in (1024, 2048)))
    with pytest.raises(UserError, match=r"holds samples of 1024, 2048 tokens: ask for such a length"):
        load("vt", length=length, data_dir=folder)
    assert len(load("vt", length=2048, limit=5, data_dir=folder).documents) == 1


@pytest.mark.parametrize("size", ["1024", [1024], None, True, 1024.0])
def test_a_length_that_is_no_number_is_told_by_its_row(load: Load, tmp_path: Path, size: object) -> None:
    folder = write(tmp_path / "vt.jsonl", rulers_row("vt", max_length=1024), rulers_row("vt", max_length=size))
    with pytest.raises(UserError, match=r"vt\.jsonl, row 2: `max_length` has to be a whole number"):
        load("vt", length=1024, data_dir=folder)


def test_a_row_is_counted_as_it_stands_in_the_file(load: Load, tmp_path: Path) -> None:
    rows = [rulers_row("vt", max_length=2048), rulers_row("vt", max_length=1024, outputs=[""])]
    with pytest.raises(UserError, match=r"row 2: `outputs`"):
        documents(load("vt", length=1024, data_dir=write(tmp_path / "vt.jsonl", *rows)))


def test_the_file_is_the_data_revision(load: Load, tmp_path: Path) -> None:
    one = load("vt", data_dir=write(tmp_path / "a" / "vt.jsonl", rulers_row("vt"))).data_revision
    other = load("vt", data_dir=write(tmp_path / "b" / "vt.jsonl", rulers_row("vt", outputs=["13"]))).data_revision
    assert len({one, other, load("vt").data_revision}) == 3
