"""A dialogue's prompt is what the tokenizer makes of its messages, and is cut behind the context of its first turn."""

from typing import Any

import pytest
from transformers import AutoTokenizer

from lukv_bench.bench.engine.prompt import encode, render
from lukv_bench.bench.models.find import find_model
from lukv_bench.bench.models.load import load_prompt_model
from lukv_bench.bench.samples.cut import cut_document
from lukv_bench.bench.samples.rendering import render_document
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.load import LoadedTask, load_task

LENGTH = 1024


@pytest.fixture(scope="module", params=["chat", "plain"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    loaded = AutoTokenizer.from_pretrained(find_model("smollm2-135m"))
    if request.param == "plain":
        loaded.chat_template = None
    return loaded


@pytest.fixture(scope="module")
def task(tokenizer: Any) -> LoadedTask:
    return load_task(
        "turns",
        length=LENGTH,
        seed=0,
        limit=5,
        count_prompt=lambda user, prefix, turns=(): len(
            encode(tokenizer, render(tokenizer, user, prefix, later=turns))
        ),
        essay_archive=lambda: pytest.fail("no essays are needed"),
    )


def messages(document: Any) -> list[dict[str, str]]:
    """The dialogue, put together here once more."""
    turns = [{"role": "user", "content": document["context"] + document["question"]}]
    turns += [{"role": turn["role"], "content": turn["content"]} for turn in document["turns"]]
    return [*turns, {"role": "assistant", "content": document["answer_prefix"]}]


def test_a_prompt_is_what_the_tokenizer_makes_of_the_messages(tokenizer: Any, task: LoadedTask) -> None:
    fronts, sizes = set(), []
    model = load_prompt_model("smollm2-135m", False)
    for ordinal, document in enumerate(task.documents):
        rendered = render_document(task, ordinal, tokenizer)
        said = messages(document)
        assert len(said) == 2 * (ordinal + 1)
        if tokenizer.chat_template:
            expected = tokenizer.apply_chat_template(said, tokenize=False, continue_final_message=True)
        else:
            pairs = zip(said[::2], said[1::2], strict=True)
            expected = "\n\n".join(f"{user['content']} {answer['content']}" for user, answer in pairs)
        assert rendered.prompt == expected
        sizes.append(len(encode(tokenizer, rendered.prompt)))
        if tokenizer.chat_template:
            prompt = cut_document(task, rendered, model)
            fronts.add(prompt.context)
            behind = tokenizer.decode(prompt.question)
            assert all(turn["content"] in behind for turn in said[1:]), "earlier turns are never evicted"
            assert behind.startswith(document["question"])
    room = LENGTH - task.info.max_new_tokens
    assert sizes == sorted(sizes)
    assert 0.95 * room <= sizes[-1] <= room
    assert len(fronts) <= 1, "one context, whatever was said before"


def test_the_first_turn_is_as_lm_eval_renders_it(tokenizer: Any, task: LoadedTask) -> None:
    document: Any = task.documents[0]
    assert document["turns"] == []
    prompt = render(tokenizer, user_text(document), document["answer_prefix"])
    assert render_document(task, 0, tokenizer).prompt == prompt
