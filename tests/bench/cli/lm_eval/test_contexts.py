"""Where a prompt's context ends, which alone is evicted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.bench.lmeval_client.boundary import context_end
from lukv_bench.bench.lmeval_client.model import LukvLM

Answers = Mapping[str, list[Any]]
Evaluate = Callable[..., Answers]
Ours = Callable[..., LukvLM]
DOCUMENTS = 4
WINDOW = 48 * 8


@pytest.mark.parametrize("task", ["t_generate", "t_prefix", "t_choice"])
def test_the_context_alone_is_evicted_and_all_of_it_under_aware(
    slow: Path, evaluate: Evaluate, task: str, recording: type[Any]
) -> None:
    for protocol in ("agnostic", "aware"):
        model = recording(pretrained=str(slow), allocator="uniform", ratio=0.5, protocol=protocol)
        evaluate(model, (task,))
        for feed in model.feeds:
            front, back = model.tokenizer.decode(feed.context), model.tokenizer.decode(feed.rest)
            assert front.startswith("Read this. ")
            if protocol == "agnostic":
                assert "Where" not in front
                assert back.startswith("\nWhere is the ")
            else:
                assert "Where is the" in front
                assert len(feed.rest) == 1 or task == "t_choice"
                assert "Where" not in back


def test_a_prompt_that_tells_no_context_is_evicted_whole_and_that_is_said(
    slow: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str], recording: type[Any]
) -> None:
    model = recording(pretrained=str(slow), allocator="uniform", ratio=0.5)
    evaluate(model, ("t_untold",))
    assert {len(feed.rest) for feed in model.feeds} == {1}
    assert "4 of 4 requests do not show where their context ends" in capsys.readouterr().err


def test_the_contexts_field_may_have_any_name(
    slow: Path, evaluate: Evaluate, ours: Ours, recording: type[Any], assert_same: Callable[[Answers, Answers], None]
) -> None:
    assert_same(
        evaluate(ours(slow, allocator="uniform", ratio=0.5, context_field="context"), ("t_generate",)),
        evaluate(ours(slow, allocator="uniform", ratio=0.5), ("t_generate",)),
    )
    asked = recording(pretrained=str(slow), allocator="uniform", ratio=0.5, context_field="question", sink=2, window=2)
    evaluate(asked, ("t_generate",))
    default = recording(pretrained=str(slow), allocator="uniform", ratio=0.5, sink=2, window=2)
    evaluate(default, ("t_generate",))
    assert all(len(a.context) > len(b.context) for a, b in zip(asked.feeds, default.feeds, strict=True))
    assert all(feed.has_context_end for feed in asked.feeds)
    with pytest.raises(UserError, match=r"t_generate have no text field 'passage' .*they have: context, question"):
        evaluate(ours(slow, allocator="uniform", ratio=0.5, context_field="passage"), ("t_generate",))


def test_too_long_a_prompt_is_refused_or_loses_the_middle_of_its_context(
    slow: Path,
    evaluate: Evaluate,
    capsys: pytest.CaptureFixture[str],
    ours: Ours,
    recording: type[Any],
    counted: Callable[[Any], tuple[Any, ...]],
) -> None:
    with pytest.raises(UserError, match=r"window has 60.*truncation=middle"):
        evaluate(ours(slow, allocator="full", max_length=60), ("t_generate",))
    model = recording(pretrained=str(slow), allocator="full", max_length=60, truncation="middle")
    whole = recording(pretrained=str(slow), allocator="full")
    for one in (model, whole):
        evaluate(one, ("t_generate",))
    assert "cut out of the middle" in capsys.readouterr().err
    assert (counted(model)[2], counted(whole)[2]) == ({"truncated_middle": 4}, {})
    for cut, full in zip(model.feeds, whole.feeds, strict=True):
        assert cut.rest == full.rest
        assert len(cut.context) + len(cut.rest) + 12 == 60
        half = len(cut.context) // 2
        assert cut.context[:half] == full.context[:half]
        assert cut.context[half:] == full.context[-(len(cut.context) - half) :]


STOCK = {
    "niah_multikey_2": "for a is: b.|\nWhat is the special magic number for a mentioned in the provided text?",
    "niah_multivalue": "for a is: b.|\nWhat are all the special magic numbers for a mentioned in the provided text?",
    "ruler_vt": "x\nQuestion: Find all variables that are assigned the value 1 in the text above. y\n\nMemorize|"
    "\nQuestion: Find all variables that are assigned the value 2 in the text above.",
    "ruler_cwe": "1. a\nQuestion: What are the 10 most common words in the above list? Answer: a\n2. b|"
    "\nQuestion: What are the 10 most common words in the above list?",
    "ruler_fwe": "... abc ...|\nQuestion: Do not provide any explanation. Please ignore the dots '....'.",
    "ruler_qa_squad": "Answer the question based on the given documents. Document 1:\nx|"
    "\n\nAnswer the question based on the given documents. Only give me the answer\n\nQuestion: Why?",
}
"""The ends of lm-eval's own prompts; the bar is where the question begins."""


@pytest.mark.parametrize("task", STOCK)
def test_rulers_stock_prompts_end_their_context_where_the_question_opens(task: str) -> None:
    prompt = STOCK[task].replace("|", "")
    assert context_end(task, {"input": prompt}, f"<user>{prompt}<assistant>") == len("<user>") + STOCK[task].index("|")


def test_a_ruler_prompt_without_its_question_is_refused() -> None:
    with pytest.raises(UserError, match="RULER's question"):
        context_end("ruler_vt", {"input": "no question"}, "no question")
