"""Loaded tasks inside lm-eval: what it renders, and evaluate() over stored answers."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate

from lukv_bench.tasks.catalog import expand, task_info
from lukv_bench.tasks.document import user_text
from lukv_bench.tasks.load import LoadedTask

Load = Callable[..., LoadedTask]
Render = Callable[[str, str], str]


class ReplayLM(LM):  # type: ignore[misc]
    """Answers each document from a table."""

    tokenizer_name = "none"

    def __init__(self, answers: dict[int, str], in_chat: Render) -> None:
        super().__init__()
        self.answers = answers
        self.in_chat = in_chat

    def generate_until(self, requests: list[Instance]) -> list[str]:
        return [self.answers[request.doc["index"]] for request in requests]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        *_, user, assistant = chat_history
        assert not add_generation_prompt
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        return self.in_chat(user["content"], assistant["content"])

    def loglikelihood(self, requests: list[Instance]) -> Any:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Instance]) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("name", expand(["ruler", "needle_grid_0"]))
def test_the_counted_prompt_is_the_rendered_one(
    load: Load, lm_eval_requests: Callable[..., Any], in_chat: Render, name: str, chat: bool
) -> None:
    answer = task_info(name).max_new_tokens
    counted: set[str] = set()

    def render(user: str, prefix: str) -> str:
        return in_chat(user, prefix) if chat else f"{user} {prefix}"

    def count(user_text: str, answer_prefix: str) -> int:
        counted.add(render(user_text, answer_prefix))
        return len(render(user_text, answer_prefix)) // 4

    loaded = load(name, count_prompt=count)
    template = ReplayLM({}, in_chat).apply_chat_template if chat else None
    for multiturn in (True, False):
        instances = lm_eval_requests(
            loaded, apply_chat_template=chat, chat_template=template, fewshot_as_multiturn=multiturn
        )
        assert len(instances) == 2
        for instance in instances:
            prompt, generation = instance.args
            assert prompt in counted
            assert len(prompt) // 4 <= (2048 if name == "qa_2" else 1024) - answer
            assert generation == {"do_sample": False, "temperature": 0.0, "max_gen_toks": answer, "until": []}
            head = prompt[: prompt.rfind(instance.doc["context"]) + len(instance.doc["context"])]
            assert prompt.rfind(instance.doc["question"]) == len(head)
            assert instance.doc["question"].startswith("\n")
            assert prompt[len(head) :].startswith(instance.doc["question"])


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("name", ["niah_single_1", "niah_multivalue"])
def test_evaluate_over_stored_answers_again_and_again(
    load: Load,
    lm_eval_whole: Callable[[Any], Any],
    in_chat: Render,
    caplog: pytest.LogCaptureFixture,
    name: str,
    chat: bool,
) -> None:
    with caplog.at_level(logging.WARNING):
        loaded = load(name, limit=4)
        tasks = lm_eval_whole(loaded)
    assert not caplog.records
    docs, task = list(loaded.documents), tasks["tasks"][name]
    right = {doc["index"]: " ".join(doc["outputs"]) for doc in docs}
    one_missing = right | {0: "I do not know"}
    wrong = dict.fromkeys(right, "")
    before = dict(task.config.metadata)
    hashes = set()
    for answers, mean in ((right, 1.0), (one_missing, 0.75), (wrong, 0.0), (right, 1.0)):
        result = evaluate(
            ReplayLM(answers, in_chat), tasks, apply_chat_template=chat, bootstrap_iters=1, log_samples=True
        )
        assert result is not None
        scores = result["results"][name]
        assert scores["score,none"] == mean
        assert scores["score_stderr,none"] == pytest.approx(0.25 if mean == 0.75 else 0)
        assert result["versions"][name] == 1
        assert result["n-samples"][name] == {"original": 4, "effective": 4}
        samples = result["samples"][name]
        assert [sample["score"] for sample in samples] == [
            task.process_results(doc, [answers[doc["index"]]])["score"] for doc in docs
        ]
        hashes.add(tuple(sample["prompt_hash"] for sample in samples))
        assert json.loads(json.dumps(result["configs"], default=str))[name]["metadata"]["length"] == 1024
    assert len(hashes) == 1
    assert task.config.metadata == before


def test_the_configuration_holds_neither_documents_nor_functions(load: Load) -> None:
    loaded = load("niah_multikey_3")
    metadata = loaded.lm_eval_task.config.metadata
    assert "documents" not in metadata
    assert metadata["data_revision"] == loaded.data_revision
    assert (metadata["seed"], metadata["length"], metadata["version"]) == (0, 1024, 1)
    assert json.loads(json.dumps(metadata)) == metadata


def test_user_text_is_what_lm_eval_asks(load: Load) -> None:
    loaded = load("niah_single_2")
    task = loaded.lm_eval_task
    for document in loaded.documents:
        assert task.doc_to_text(document) == user_text(document)
        assert task.doc_to_prefix(document) == document["answer_prefix"]
        assert task.doc_to_target(document) == document["outputs"]


def test_lm_evals_logger_is_left_as_it_was(load: Load) -> None:
    logger = logging.getLogger("lm_eval.api.task")
    before = (logger.level, list(logger.filters), list(logger.handlers))
    assert load("niah_single_1").lm_eval_task is not None
    assert (logger.level, list(logger.filters), list(logger.handlers)) == before
