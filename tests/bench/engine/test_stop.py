"""When generation ends and what is the answer, held against lm-eval's own model class."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.models.utils import handle_stop_sequences, postprocess_generated_text
from lm_eval.models.utils_hf import stop_sequences_criteria
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lukv_bench.bench.engine.stop import Stop, stop_strings
from lukv_bench.bench.models.template import Thinking

WORDS = ("</s>", "<|im_end|>", "<|end_think|>", "the", "\u0120answer", ".\u010a", "\u010a\u010a", "<|", "im_end", "|>")
THOUGHTS = Thinking(on=True)


def make_tokenizer(**flags: bool) -> Any:
    """Bytes and a few whole words; a stop string can end inside a token, and a letter take several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={word: n for n, word in enumerate((*WORDS, *alphabet))}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(word, special=True) for word in WORDS[:3]])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="</s>", **flags)


TOKENIZER = make_tokenizer()


def ids_of(*parts: str) -> list[int]:
    """Whole words where there are such, else bytes."""
    names = [name for part in parts for name in ([part] if part in WORDS else TOKENIZER.tokenize(part))]
    ids: list[int] = TOKENIZER.convert_tokens_to_ids(names)
    return ids


def answer(stop: Stop, ids: list[int]) -> tuple[str, int]:
    """The text, and after how many tokens generation ended."""
    n = next((n for n in range(1, len(ids) + 1) if stop.reached(TOKENIZER, ids[:n])), len(ids))
    return stop.text(TOKENIZER, ids[:n]), n


def of_lm_eval(ids: list[int], until: list[str]) -> tuple[str, int]:
    """The same from lm-eval's `hf`: its stopping criteria token by token, then its treatment of the text."""
    until = handle_stop_sequences(list(until), eos="</s>")
    criteria = stop_sequences_criteria(TOKENIZER, until, 0, 1)
    n = next((n for n in range(1, len(ids) + 1) if criteria(torch.tensor([ids[:n]]), None).all()), len(ids))  # type: ignore[arg-type]
    text = TOKENIZER.decode(ids[:n], skip_special_tokens=True)
    return postprocess_generated_text(text, until, None), n


UNTIL = ("<|im_end|>", "the", "an", ".", "\n\n", "é", "|>", "e<|im_end|>", "er<|im")


@given(
    parts=st.lists(st.sampled_from((*WORDS[1:], "é", "a", "n", " ", "\n", "灯")), max_size=9),
    until=st.lists(st.sampled_from(UNTIL), max_size=3, unique=True),
)
@settings(deadline=None, max_examples=300)
def test_any_answer_is_the_text_that_lm_evals_own_model_gives(parts: list[str], until: list[str]) -> None:
    ids = ids_of(*parts)
    text, n = answer(Stop(99, frozenset(), stop_strings(until, TOKENIZER)), ids)
    expected, n_expected = of_lm_eval(ids, until)
    assert text == expected
    assert n <= n_expected


@pytest.mark.parametrize(
    ("until", "parts", "text", "n"),
    [
        (["<|im_end|>"], ["the", "<|im_end|>", "the"], "the", 2),
        (["<|im_end|>"], ["the", "<|", "im_end", "|>", "the"], "the", 4),
        (["</s>"], ["the", "<", "/", "s", ">", "the"], "the", 5),
        ([], ["the", "<", "/", "s", ">", "the"], "the", 5),
        (["e<|im_end|>"], ["the", "<|im_end|>", "the"], "the", 2),
        (["\n"], ["the", ".\u010a", "the"], "the.", 2),
        (["é"], ["the", "é", "the"], "the", 3),
        (["zz", "\n\n", "the"], ["a", "\u010a\u010a", "the"], "a", 2),
    ],
)
def test_a_stop_string_is_seen_whatever_tokens_spell_it(until: Any, parts: list[str], text: str, n: int) -> None:
    stop = Stop(99, frozenset(), stop_strings(until, TOKENIZER))
    assert answer(stop, ids_of(*parts)) == (text, n)
    assert of_lm_eval(ids_of(*parts), until)[0] == text


def test_stop_strings_are_a_list_a_text_or_none_and_empty_ones_stop_nothing() -> None:
    assert stop_strings("\n", TOKENIZER) == ("\n", "</s>")
    assert stop_strings(["", "a", "</s>"], TOKENIZER) == ("a", "</s>")
    assert stop_strings(None, TOKENIZER) == ("</s>",)


@pytest.mark.parametrize(
    ("thinking", "parts", "text", "events"),
    [
        (THOUGHTS, ["<think>", "the\n\n", "</think>", "\n\n", "an", "\n", "the"], "an", []),
        (THOUGHTS, ["an", "\n", "the"], "an", []),
        (Thinking(on=True, opened=True), ["the\n", "</think>", "\nan\nthe"], "an", []),
        (Thinking(on=True, opened=True), ["the", "\n", "an"], "the", ["thoughts_not_closed"]),
        (THOUGHTS, ["<think>", "the"], "<think>the", ["thoughts_not_closed"]),
        (Thinking(on=True, opened=True, end="<|end_think|>"), ["the", "<|end_think|>", " an"], "an", []),
        (Thinking(), ["<think>", "the"], "<think>the", ["thought_unasked"]),
        (Thinking(), ["an", "\n"], "an", []),
    ],
)
def test_what_follows_the_thoughts_is_the_answer_and_nothing_in_them_ends_it(
    thinking: Thinking, parts: list[str], text: str, events: list[str]
) -> None:
    stop, ids = Stop(99, frozenset(), ("\n",), thinking=thinking), ids_of(*parts)
    said, n = answer(stop, ids)
    assert said == text
    assert [event["event"] for event in stop.events(TOKENIZER, ids[:n])] == events
    if events == ["thoughts_not_closed"]:
        assert n == len(ids), "no stop string ends it among its thoughts"
