"""From the originals' rows to samples and prompts."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lukv_bench import UserError
from lukv_bench.tasks.catalog import families
from lukv_bench.tasks.definitions import definition_files, read_definition
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.longbench.prompts import fill
from lukv_bench.tasks.longbench.rows import bucket_of

Load = Callable[..., LoadedTask]
Requests = Callable[..., Any]
Write = Callable[..., Path]
Row = Callable[..., dict[str, object]]

BOTH = [*families()["longbench"], *families()["longbench_e"]]


def metadata(task: str) -> dict[str, Any]:
    return dict(read_definition(definition_files()[task])["metadata"])


def documents(task: LoadedTask) -> list[dict[str, Any]]:
    return [dict(document) for document in task.documents]


@pytest.mark.parametrize("task", BOTH)
def test_a_prompt_is_the_originals_cut_behind_its_context(
    load: Load, write: Write, row: Row, lm_eval_requests: Requests, task: str
) -> None:
    """The original fills its templates with str.format."""
    answer = {"all_classes": ["Someone"], "answers": ["Paragraph 1 段落1"]}
    rows = [row(context=f"Text {i}.\n", input=f"Q{i}?", **answer) for i in range(3)]
    loaded = load(task, data_dir=write(metadata(task)["rows"], rows))
    for made, document in zip(rows, documents(loaded), strict=True):
        assert document["context"] + document["question"] == metadata(task)["template"].format(**made)
        assert document["context"].endswith(str(made["context"]))
    sent = [instance.args[0] for instance in lm_eval_requests(loaded)]
    assert sent == [metadata(task)["template"].format(**made) for made in rows]


@given(st.text(max_size=60), st.text(max_size=60))
def test_braces_in_rows_are_only_text(context: str, question: str) -> None:
    template = "Read.\n{context}\nQ: {input} {input}\nA:"
    for text in (context, "{input} {{x}} {context}"):
        prompt = fill(template, {"context": text, "input": question})
        assert prompt.context + prompt.question == template.format(context=text, input=question)
        assert prompt.context == f"Read.\n{text}"


HARD = {
    "braces": "{{ jinja }} {% raw %} {context} {input} {0} %s",
    "empty": "",
    "blank": " \n",
    "chinese": "全国美国文学研究会的第十八届年会在厦门大学举行。" * 50,
    "patterns": r"c++ .* [ (?P< \ $^ |",
    "long": "word " * 100_000,
}


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("task", ["longbench_hotpotqa", "longbench_lcc"])
def test_hard_contexts_are_handed_on_to_the_letter(
    load: Load, write: Write, row: Row, lm_eval_requests: Requests, kind: str, task: str
) -> None:
    made = row(context=HARD[kind], input=HARD[kind][:100], answers=[HARD[kind][:100], "x"])
    loaded = load(task, data_dir=write(metadata(task)["rows"], [made]))
    (document,) = documents(loaded)
    assert lm_eval_requests(loaded)[0].args[0] == metadata(task)["template"].format(**made)
    assert document["context"] == metadata(task)["template"].partition("{context}")[0] + HARD[kind]
    assert document["outputs"] == made["answers"]
    scores = loaded.lm_eval_task.process_results(document, ["x"])
    assert scores["score"] == 1


def test_samples_are_the_first_rows_in_order_whatever_the_seed(load: Load, write: Write, row: Row) -> None:
    folder = write("hotpotqa", [row(input=str(i), _id=f"id{i}") for i in range(7)])
    three = documents(load("longbench_hotpotqa", limit=3, data_dir=folder))
    assert [(document["index"], document["id"]) for document in three] == [(0, "id0"), (1, "id1"), (2, "id2")]
    assert documents(load("longbench_hotpotqa", limit=3, seed=5, data_dir=folder)) == three
    assert len(documents(load("longbench_hotpotqa", limit=100, data_dir=folder))) == 7


def test_the_rows_of_even_lengths_are_files_of_their_own(load: Load, write: Write, row: Row) -> None:
    write("hotpotqa", [row(input="plain")])
    folder = write("hotpotqa_e", [row(input="even", length=9000)])
    plain, even = load("longbench_hotpotqa", data_dir=folder), load("longbench_e_hotpotqa", data_dir=folder)
    assert "even" in documents(even)[0]["question"]
    assert "plain" in documents(plain)[0]["question"]
    assert documents(even)[0]["bucket"] == "8k+"
    assert plain.data_revision != even.data_revision


def test_a_file_may_be_called_like_the_task_too(load: Load, write: Write, row: Row) -> None:
    assert len(documents(load("longbench_e_lcc", data_dir=write("longbench_e_lcc", [row()])))) == 1


@pytest.mark.parametrize(
    ("words", "bucket"), [(0, "0-4k"), (3999, "0-4k"), (4000, "4-8k"), (7999, "4-8k"), (8000, "8k+"), (10**6, "8k+")]
)
def test_lengths_are_grouped_as_in_longbench_e(words: int, bucket: str) -> None:
    assert bucket_of(words) == bucket


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"context": None}, "row 2: 'context' must be a text, not null"),
        ({"input": 3}, "row 2: 'input' must be a text, not the number 3"),
        ({"answers": []}, "row 2: 'answers' is empty"),
        ({"answers": ["Someone", 3]}, "row 2: 'answers' must be a list of texts, and it holds the number 3"),
        ({"answers": "Someone"}, "row 2: 'answers' must be a list of texts, not a text"),
        ({"answers": [1]}, "row 2: 'answers' must be a list of texts"),
        ({"all_classes": None}, "row 2: 'all_classes' is empty"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(load: Load, write: Write, row: Row, fields: Any, said: str) -> None:
    good = row(all_classes=["a"])
    folder = write("trec", [good, good | fields])
    with pytest.raises(UserError, match=f"longbench_trec, {said}"):
        documents(load("longbench_trec", data_dir=folder))
    assert len(documents(load("longbench_trec", limit=1, data_dir=folder))) == 1


@pytest.mark.parametrize(("task", "answer"), [("passage_retrieval_en", "3"), ("passage_retrieval_zh", "Paragraph 3")])
def test_a_reference_that_the_metric_refuses_is_refused_with_its_row(
    load: Load, write: Write, row: Row, task: str, answer: str
) -> None:
    right = "Paragraph 3" if task.endswith("en") else "段落3"
    folder = write(task, [row(answers=[right]), row(answers=[right, answer])])
    with pytest.raises(UserError, match=rf"longbench_{task}, row 2: .*{answer}.* names no paragraph"):
        documents(load(f"longbench_{task}", data_dir=folder))
    assert len(documents(load(f"longbench_{task}", limit=1, data_dir=folder))) == 1


def test_renamed_columns_are_told(load: Load, write: Write) -> None:
    rows = [{"context": "c", "question": "q", "answers": ["a"]}]
    with pytest.raises(UserError, match=r"row 1 has no 'input': rows in the original's format.*question"):
        documents(load("longbench_hotpotqa", data_dir=write("hotpotqa", rows)))


def test_a_folder_without_the_file_is_told_its_name(load: Load, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"longbench_e_lcc .*lcc_e\.jsonl"):
        load("longbench_e_lcc", data_dir=tmp_path)


def test_from_the_hub_come_the_pinned_rows(
    load: Load, tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data/hotpotqa_e.jsonl", json.dumps(row(input="From the hub?")))
    asked: list[tuple[object, ...]] = []

    def download(repo: str, file: str, *, repo_type: str, revision: str) -> str:
        asked.append((repo, file, repo_type, revision))
        return str(archive)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert "From the hub?" in documents(load("longbench_e_hotpotqa"))[0]["question"]
    assert asked == [("THUDM/LongBench", "data.zip", "dataset", "f72191f71cd6fcd0da8a54f0915078efda579449")]


@pytest.mark.parametrize("task", ["longbench_hotpotqa", "longbench_v2"])
def test_without_network_one_sentence_names_the_way_out(load: Load, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    def download(*asked: object, **pinned: object) -> str:
        raise ConnectionError("Name or service not known\nand a traceback")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(UserError, match=r"THUDM/LongBench.*Name or service not known\).*--data-dir") as caught:
        load(task)
    assert "\n" not in str(caught.value)


def test_real_rows_are_read(load: Load, shared_data: Path) -> None:
    counted = {
        task: len(documents(load(f"longbench_{task}", data_dir=shared_data / "longbench")))
        for task in ("multi_news", "narrativeqa", "multifieldqa_zh")
    }
    assert counted == {"multi_news": 60, "narrativeqa": 6, "multifieldqa_zh": 20}
