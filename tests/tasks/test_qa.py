"""RULER's question answering: its documents, its questions, its scoring, and what is said of other data."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.tasks.document import facets
from lukv_bench.tasks.load import LoadedTask
from lukv_bench.tasks.scoring import score_answers

Load = Callable[..., LoadedTask]
INSTRUCTION = (
    "Answer the question based on the given documents. Only give me the answer and do not output any other words."
)


def documents(loaded: LoadedTask) -> list[Any]:
    return [dict(document) for document in loaded.documents]


def shown(document: Any) -> list[str]:
    """The documents in the prompt; their numbers have to run from 1."""
    head = f"{INSTRUCTION}\n\nThe following are given documents.\n\nDocument 1:\n"
    assert document["context"].startswith(head)
    parts = re.split(r"\n\nDocument (\d+):\n", document["context"].removeprefix(head))
    assert [int(number) for number in parts[1::2]] == list(range(2, len(parts) // 2 + 2))
    return parts[::2]


def published(folder: Path, name: str) -> Any:
    content = json.loads((folder / name).read_text())
    return content["data"] if isinstance(content, dict) else content


@pytest.mark.parametrize("length", [1000, 4096])
def test_squad_asks_in_order_and_shows_the_paragraph_once_among_its_own_subject(
    load: Load, qa_dir: Path, length: int
) -> None:
    articles = published(qa_dir, "dev-v2.0.json")
    asked = [(a, p, q) for a in articles for p in a["paragraphs"] for q in p["qas"] if not q["is_impossible"]]
    for document, (article, paragraph, question) in zip(
        documents(load("qa_1", limit=4, length=length)), asked, strict=False
    ):
        assert document["question"] == f"\n\n{INSTRUCTION}\n\nQuestion: {question['question']}"
        assert document["answer_prefix"] == "Answer:"
        assert document["outputs"] == [answer["text"] for answer in question["answers"]]
        texts = shown(document)
        assert texts.count(paragraph["context"]) == 1
        assert len(set(texts)) == len(texts)
        subject = {p["context"] for p in article["paragraphs"]}
        own = [text for text in texts if text in subject]
        assert len(own) == len(texts) or len(own) == len(subject), "others come when the subject is exhausted"


def test_hotpotqa_shows_all_ten_paragraphs_once(load: Load, qa_dir: Path) -> None:
    rows = published(qa_dir, "hotpotqa.json")
    for document, row in zip(documents(load("qa_2", limit=5, length=4096)), rows, strict=False):
        texts = shown(document)
        for title, sentences in row["context"]:
            assert texts.count(f"{title}\n{''.join(sentences)}") == 1
        assert len(set(texts)) == len(texts) > 10
        assert document["question"].endswith(f"\n\nQuestion: {row['question']}")
        assert document["outputs"] == [row["answer"]]


@pytest.mark.parametrize("name", ["qa_1", "qa_2"])
def test_answers_stand_anywhere(load: Load, name: str) -> None:
    places = []
    for document in documents(load(name, limit=40, length=4096)):
        texts = shown(document)
        places.append(next(i for i, text in enumerate(texts) if document["outputs"][0] in text) / len(texts))
    assert min(places) < 0.2
    assert max(places) > 0.75


def test_more_samples_than_questions_are_all_the_questions(load: Load) -> None:
    assert len(load("qa_2", limit=1000).documents) == 40


def test_questions_about_one_paragraph_share_a_document(load: Load, qa_dir: Path, tmp_path: Path) -> None:
    """The paragraphs around it differ from sample to sample, and so do their contexts."""
    articles = published(qa_dir, "dev-v2.0.json")
    for paragraph in articles[0]["paragraphs"]:
        paragraph["qas"] += [{**paragraph["qas"][1], "question": "Who is it?"}]
    (tmp_path / "squad.json").write_text(json.dumps({"data": articles}))
    asked = documents(load("qa_1", limit=6, data_dir=tmp_path))
    assert len({document["context"] for document in asked}) == 6
    names = [facets(document)["document"] for document in asked]
    assert [names.index(name) for name in names] == [0, 0, 2, 2, 4, 4]
    alone = [facets(document)["document"] for document in documents(load("qa_2", limit=5, length=4096))]
    assert len(set(alone)) == 5


def test_one_right_reference_of_three_is_full_marks(load: Load) -> None:
    (document,) = documents(load("qa_1", limit=1))
    three = document | {"outputs": ["Denver Broncos", "the Broncos", "Broncos (NFL) [a+b]*"]}
    assert score_answers(three, ["It was the denver broncos."]) == {"score": 1.0}
    assert score_answers(three, ["broncos (nfl) [A+B]* it is"]) == {"score": 1.0}
    assert score_answers(three, ["Carolina"]) == {"score": 0.0}


def test_data_that_end_too_early_name_the_greatest_length(load: Load) -> None:
    with pytest.raises(
        UserError, match=r"^qa_2 has data for samples of (\d+) tokens .* at most that, not 32768\.$"
    ) as told:
        documents(load("qa_2", length=32_768, limit=1))
    most = int(re.findall(r"of (\d+) tokens", str(told.value))[0])
    assert len(documents(load("qa_2", length=most, limit=1))) == 1


def hotpot(**own: object) -> dict[str, object]:
    return {"question": "q", "answer": "a", "context": [["t", ["s"]]]} | own


def squad(context: object = "c", **own: object) -> dict[str, object]:
    return {
        "data": [{"paragraphs": [{"context": context, "qas": [{"question": "q", "answers": [{"text": "a"}]} | own]}]}]
    }


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("dev-v2.0.json", {"data": [{"title": "t"}]}, r"expects the shape of SQuAD's dev-v2\.0\.json"),
        ("squad.json", [{"paragraphs": [{"context": "c", "qas": []}]}], "finds no question with an answer"),
        ("hotpotqa.json", [{"question": "q", "answer": "a", "context": [["t"]]}], "expects the shape of hotpot_dev"),
        ("hotpotqa.json", [{"question": "q"}], "expects the shape of hotpot_dev"),
        ("hotpotqa.json", [hotpot(question=None)], r"hotpot_dev.*a text is expected, not None"),
        ("hotpotqa.json", [hotpot(answer=5)], r"hotpot_dev.*a text is expected, not 5"),
        ("hotpotqa.json", [hotpot(answer=0)], r"hotpot_dev.*a text is expected, not 0"),
        ("hotpotqa.json", [hotpot(context=[[3, ["s"]]])], r"hotpot_dev.*a text is expected, not 3"),
        ("hotpotqa.json", [hotpot(context=[["t", [3]]])], "expects the shape of hotpot_dev"),
        ("dev-v2.0.json", squad(answers=[{"text": 5}]), r"SQuAD's.*a text is expected, not 5"),
        ("dev-v2.0.json", squad(answers=[None]), "expects the shape of SQuAD's"),
        ("dev-v2.0.json", squad(question=None), r"SQuAD's.*a text is expected, not None"),
        ("dev-v2.0.json", squad(context=7), r"SQuAD's.*a text is expected, not 7"),
        ("dev-v2.0.json", squad(context=["c"]), "SQuAD's.*a text is expected, not"),
    ],
)
def test_other_data_are_told_by_the_shape_expected(
    load: Load, tmp_path: Path, name: str, content: object, said: str
) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        load("qa_2" if "hotpot" in name else "qa_1", data_dir=tmp_path)


def test_a_folder_without_the_file_says_its_name(load: Load, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^qa_1 finds no data in .*: put dev-v2\.0\.jsonl \(or \.json\) there\.$"):
        load("qa_1", data_dir=tmp_path)


@pytest.mark.parametrize("text", ["", "中文" * 400, "word " * 100_000, "{{ x }} {0} %s {% raw %}"])
def test_any_text_is_shown_as_it_is_or_refused_in_a_sentence(load: Load, tmp_path: Path, text: str) -> None:
    qas = [{"question": "Who (is) [it]?", "answers": [{"text": "$^.*+?"}]}]
    paragraphs = [{"context": text, "qas": qas}, *({"context": f"Other {n}. " * 40, "qas": []} for n in range(60))]
    (tmp_path / "dev-v1.1.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    if len(text) > 100_000:
        with pytest.raises(UserError, match=r"^qa_1 does not fit into 4096 tokens: .* for example \d+\.$"):
            documents(load("qa_1", data_dir=tmp_path, length=4096, limit=1))
        return
    (document,) = documents(load("qa_1", data_dir=tmp_path, length=4096, limit=1))
    assert shown(document).count(text) == 1
    assert score_answers(document, ["a $^.*+? b"]) == {"score": 1.0}
    assert score_answers(document, ["anything"]) == {"score": 0.0}


def test_real_excerpts_are_read(load: Load, shared_data: Path) -> None:
    for name, folder in (("qa_1", "squad"), ("qa_2", "ruler")):
        made = documents(load(name, data_dir=shared_data / folder, length=4096, limit=20))
        assert len(made) == 20
        for document in made:
            (answer,) = document["outputs"]
            assert answer in "\n".join(shown(document)) or answer in ("yes", "no")
