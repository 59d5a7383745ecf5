"""--model_args and generation settings: what they mean and which are refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager

from lukv_bench import UserError
from lukv_bench.bench.lmeval_client.arguments import parse_arguments
from lukv_bench.bench.lmeval_client.model import LukvLM

Answers = Mapping[str, list[Any]]
Evaluate = Callable[..., Answers]
Ours = Callable[..., LukvLM]
DOCUMENTS = 4
WINDOW = 48 * 8


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scorrer": "keydiff"}, ("scorrer", "did you mean 'scorer'")),
        ({"ratio": 1.5}, ("--ratio", "1.5")),
        ({"ratio": 0.5, "keep_tokens": 5}, ("either",)),
        ({"keep_tokens": "many"}, ("keep_tokens", "whole number")),
        ({"protocol": "blind"}, ("protocol", "agnostic or aware")),
        ({"truncation": "left"}, ("truncation", "refuse or middle")),
        ({"trust_remote_code": True}, ("trust_remote_code",)),
        ({"tokenizer": "gpt2"}, ("--metadata",)),
        ({"sink": -1}, ("sink", "at least 0")),
        ({"enable_thinking": "maybe"}, ("enable_thinking", "True or False")),
        ({"think_end_token": "</think>"}, ("think_end_token", "enable_thinking=True")),
        ({"enable_thinking": True, "think_end_token": 7}, ("think_end_token", "</think>")),
    ],
)
def test_a_wrong_model_argument_gets_one_sentence(given: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as refusal:
        parse_arguments(given)
    for word in words:
        assert word in str(refusal.value)


def test_a_plugins_later_arguments_stand_behind_a_semicolon() -> None:
    read = parse_arguments({"scorer": "one:a=1;b=x,y;c=2", "allocator": "two", "ratio": 0.1, "batch_size": 8})
    assert (read.scorer, read.allocator, str(read.budget)) == ("one:a=1,b=x,y,c=2", "two", "0.1")


@pytest.mark.parametrize("kwargs", [{"do_sample": True}, {"temperature": 0.7, "do_sample": True}, {"num_beams": 4}])
def test_what_is_not_greedy_is_refused(slow: Path, evaluate: Evaluate, kwargs: dict[str, Any], ours: Ours) -> None:
    with pytest.raises(UserError, match=r"greedily|num_beams"):
        evaluate(ours(slow, allocator="full"), ("t_generate",), gen_kwargs=kwargs)


def test_a_budget_that_no_context_could_be_served_is_still_refused(slow: Path, evaluate: Evaluate, ours: Ours) -> None:
    with pytest.raises(UserError, match="4 tokens/head is fewer than the 8 protected"):
        evaluate(ours(slow, allocator="uniform", keep_tokens=4, sink=4, window=4), ("t_generate",))


@pytest.mark.parametrize(
    ("model_args", "words"),
    [
        ("ratio=2", ("--ratio", "2")),
        ("scorrer=keydiff", ("did you mean 'scorer'",)),
        ("allocator=unifrom", ("did you mean 'uniform'",)),
        ("pretrained=nowhere", ("unknown model", "nowhere")),
        ("tokenizer=gpt2", ("--metadata",)),
    ],
)
def test_bad_model_args_are_refused_before_the_tasks_are_indexed(
    lukv_bench: Any, monkeypatch: pytest.MonkeyPatch, model_args: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(TaskManager, "__init__", lambda *_, **__: pytest.fail("a minute of indexing for nothing"))
    ended = lukv_bench("lm-eval", "run", "--model", "lukv", "--model_args", model_args, "--tasks", "arc_easy")
    assert ended.code == 2, ended.err
    for word in words:
        assert word in ended.err.splitlines()[-1]
