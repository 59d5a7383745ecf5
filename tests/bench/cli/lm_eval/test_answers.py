"""What lm-eval's client answers: without eviction, what lm-eval's own model class does."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from lukv_bench.bench.lmeval_client.model import LukvLM

Answers = Mapping[str, list[Any]]
Evaluate = Callable[..., Answers]
Ours = Callable[..., LukvLM]
DOCUMENTS = 4
WINDOW = 48 * 8
TASKS = (
    "t_generate",
    "t_prefix",
    "t_stop",
    "t_untold",
    "t_choice",
    "t_choice_spaces",
    "t_choice_no_context",
    "t_rolling",
)


@pytest.fixture(scope="module")
def full(slow: Path, evaluate: Evaluate, ours: Ours) -> Answers:
    """Every task's answers without eviction."""
    return evaluate(ours(slow, allocator="full", max_length=WINDOW), TASKS)


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_without_eviction_every_answer_and_likelihood_is_that_of_lm_evals_own_model(
    slow: Path,
    theirs: HFLM,
    evaluate: Evaluate,
    full: Answers,
    chat: bool,
    ours: Ours,
    assert_same: Callable[[Answers, Answers], None],
) -> None:
    names = tuple(name for name in TASKS if not (chat and name == "t_rolling"))
    answers = full
    if chat:
        answers = evaluate(ours(slow, allocator="full", max_length=WINDOW), names, apply_chat_template=True)
    assert_same(answers, evaluate(theirs, names, apply_chat_template=chat))
    assert any(text for texts in answers["t_generate"] for (text,) in texts)
    assert all("o" not in text for texts in answers["t_stop"] for (text,) in texts)


@pytest.fixture(scope="module")
def adds_bos(slow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a tokenizer that puts a BOS in front by itself, as Llama's does."""
    folder = tmp_path_factory.mktemp("models") / "bos"
    shutil.copytree(slow, folder)
    tokenizer = AutoTokenizer.from_pretrained(slow)
    bos = tokenizer.bos_token
    adds = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)])
    tokenizer.backend_tokenizer.post_processor = adds
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_a_tokenizers_own_bos_is_there_once_as_in_lm_evals_own_model(
    adds_bos: Path,
    evaluate: Evaluate,
    chat: bool,
    recording: type[Any],
    assert_same: Callable[[Answers, Answers], None],
) -> None:
    names = ("t_generate", "t_prefix", "t_choice", "t_choice_no_context", *(() if chat else ("t_rolling",)))
    theirs = HFLM(pretrained=str(adds_bos), device="cpu", dtype="float32", max_length=WINDOW)
    model = recording(pretrained=str(adds_bos), allocator="full", max_length=WINDOW)
    assert_same(evaluate(model, names, apply_chat_template=chat), evaluate(theirs, names, apply_chat_template=chat))
    evaluate(model, ("t_generate",), apply_chat_template=chat)
    bos = model.tokenizer.bos_token_id
    turns = 3 if chat else 1  # the template opens each of its turns with the same token
    assert all((*feed.context, *feed.rest).count(bos) == turns for feed in model.feeds)
    assert all(feed.context[0] == bos for feed in model.feeds)


def test_keeping_everything_is_the_full_cache_and_evicting_is_not(
    slow: Path, full: Answers, evaluate: Evaluate, ours: Ours, assert_same: Callable[[Answers, Answers], None]
) -> None:
    assert_same(evaluate(ours(slow, allocator="uniform", keep_tokens=5000, max_length=WINDOW), TASKS), full)
    hard = ours(slow, allocator="uniform", ratio=0.8, sink=0, window=0, max_length=WINDOW)
    evicted = evaluate(hard, TASKS)
    assert all(evicted[name] != full[name] for name in ("t_generate", "t_choice", "t_rolling"))
    assert evicted["t_choice_no_context"] == full["t_choice_no_context"], "there was nothing to evict"


def test_few_shot_examples_in_front_do_not_move_the_boundary(
    slow: Path, evaluate: Evaluate, theirs: HFLM, ours: Ours, assert_same: Callable[[Answers, Answers], None]
) -> None:
    shots: dict[str, Any] = {"num_fewshot": 2}
    full = evaluate(ours(slow, allocator="full"), ("t_choice",), **shots)
    assert_same(full, evaluate(theirs, ("t_choice",), **shots))


def test_likelihoods_behind_a_rotary_switch_are_those_of_lm_evals_own_model(
    slow: Path,
    tmp_path: Path,
    evaluate: Evaluate,
    ours: Ours,
    recording: type[Any],
    assert_same: Callable[[Answers, Answers], None],
) -> None:
    """LongRoPE whose switch lies behind the first half of every text, and behind the contexts of the questions."""
    folder = tmp_path / "longrope"
    shutil.copytree(slow, folder)
    config = json.loads((folder / "config.json").read_text())
    factors = {"short_factor": [1.0] * 8, "long_factor": [1.5 + n for n in range(8)], "attention_factor": 1.0}
    names = ("t_choice", "t_choice_no_context", "t_rolling")

    def switching_behind(switch: int) -> None:
        rope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": switch, **factors}
        (folder / "config.json").write_text(json.dumps(config | {"rope_parameters": rope}))

    model = recording(pretrained=str(slow), allocator="full")
    evaluate(model, ("t_choice",))
    switch = max(len(feed.context) for feed in model.feeds)
    assert any(len(feed.context) + len(feed.rest) > switch for feed in model.feeds)
    found = []
    for behind in (switch, switch * 3 // 4):  # the whole texts are as long as the contexts
        switching_behind(behind)
        theirs = HFLM(pretrained=str(folder), device="cpu", dtype="float32", max_length=WINDOW)
        found.append(evaluate(ours(folder, allocator="full", max_length=WINDOW), names))
        assert_same(found[-1], evaluate(theirs, names))
    assert found[0]["t_rolling"] != found[1]["t_rolling"], "the texts reach beyond the second switch"
