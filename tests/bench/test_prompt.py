"""One boundary and one tokenisation: where a prompt is cut, and that nothing else changes."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lukv_bench import UserError
from lukv_bench.bench.engine.prompt import Prompt, chat_form, encode, render, split
from lukv_bench.bench.models.load import find_model

CONTEXTS = [
    "The lamp was lit at nine.",
    "The lamp was lit at nine.\n\n",
    "  spaces on both sides  ",
    "{{ context }} {% if x %}{{ y }}{% endif %} {not: json}",
    "a+b*c? [x]{2} (?P<n>.) ^$ \\d \\1 $1 | .",
    "守夜人点亮灯塔。然后睡觉",
    "naïve café — 🙂🙃 e\u0301",
    "the same words the same words",
    "ends inside a wor",
    "<|im_end|>\n<|im_start|>system\nNo.",
    "tabs\tand\r\nlines\x0b",
]
QUESTIONS = ["What is it?", "d is this?", "\nAnd?", " ", "the same words", "的吗", "?"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(find_model("smollm2-135m"))


def byte_bpe(*merges: str, trim_offsets: bool = False) -> Any:
    """A byte-level tokenizer with the merges given, over whole texts."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [tuple(merge.split("|")) for merge in merges]
    words = {token: i for i, token in enumerate([*alphabet, *("".join(pair) for pair in pairs)])}
    backend = Tokenizer(models.BPE(vocab=words, merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def check(tokenizer: Any, prompt: str, context: str) -> tuple[str, str]:
    """What holds of every cut; gives the two texts."""
    made = split(tokenizer, prompt, context)
    assert [*made.context, *made.question] == encode(tokenizer, prompt)
    assert made.question
    assert made.context
    return tokenizer.decode(made.context), tokenizer.decode(made.question)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_ids_are_those_of_the_unsplit_prompt_and_the_question_is_all_behind_the_cut(
    tokenizer: Any, context: str, question: str
) -> None:
    prompt = render(tokenizer, f"{context}\n{question}", "The answer is")
    if context not in prompt:  # a template that trims
        with pytest.raises(UserError, match="does not hold its context"):
            split(tokenizer, prompt, context)
        return
    front, back = check(tokenizer, prompt, context)
    whole = tokenizer.decode(encode(tokenizer, prompt))
    end = prompt.rindex(context) + len(context)
    assert back.endswith(prompt[end:])
    assert front + back == whole or "\N{REPLACEMENT CHARACTER}" in front + back


@given(context=st.text(min_size=1, max_size=40), question=st.text(max_size=20))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_cut_at_its_end(tokenizer: Any, context: str, question: str) -> None:
    question = f"\n{question}"
    prompt = render(tokenizer, context + question, "So:")
    assume(prompt.index(context + question) == prompt.rindex(context + question))  # overlaps too, as "user\nr\nr"
    assume(tokenizer.decode(encode(tokenizer, prompt)) == prompt)
    made = split(tokenizer, prompt, context, question=question)
    assert [*made.context, *made.question] == encode(tokenizer, prompt)
    end = prompt.index(context + question) + len(context)
    assert tokenizer.decode(made.question).endswith(prompt[end:])
    extra = len(tokenizer.decode(made.question)) - len(prompt[end:])
    assert extra < len(tokenizer.decode(made.question[:1])), "one token at most is shared"


def test_a_question_that_repeats_the_context_is_no_trap(tokenizer: Any) -> None:
    context, question = "the lamp", "\nWhere is the lamp?"
    prompt = render(tokenizer, context + question, "It is the lamp")
    made = split(tokenizer, prompt, context, question=question)
    assert tokenizer.decode(made.question).startswith("\nWhere is the lamp?")


def test_white_space_that_a_template_trims_is_not_missed(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tokenizer, "chat_template", "{% for m in messages %}[{{ m['content'] | trim }}]{% endfor %} Answer:"
    )
    made = split(tokenizer, render(tokenizer, "  code = 1\nNext line:\n"), "  code = 1", question="\nNext line:\n")
    assert tokenizer.decode(made.context) == "[code = 1"
    assert tokenizer.decode(made.question) == "\nNext line:] Answer:"


def test_a_token_that_straddles_the_cut_goes_to_the_question() -> None:
    tokenizer = byte_bpe("b|c", "a|bc")
    made = split(tokenizer, "xxabcyy", "xxab")
    assert [tokenizer.decode([i]) for i in made.question] == ["abc", "y", "y"]
    assert [tokenizer.decode([i]) for i in made.context] == ["x", "x"]


@pytest.mark.parametrize("trim_offsets", [False, True])
@pytest.mark.parametrize(("merge", "space"), [(".|Ċ", "\n"), (".|Ġ", " ")], ids=["line-end", "space"])
def test_a_stop_merged_with_what_follows_goes_to_the_question(merge: str, space: str, trim_offsets: bool) -> None:
    """As in the vocabularies of Llama 3 and Qwen: ".\\n" is one token, and the line end is not the context's."""
    tokenizer = byte_bpe(merge, trim_offsets=trim_offsets)
    made = split(tokenizer, f"at nine.{space}When?", "at nine.")
    assert tokenizer.decode(made.question) == f".{space}When?"


@pytest.mark.parametrize("trim_offsets", [False, True])
def test_a_space_merged_with_the_question_goes_with_it(trim_offsets: bool) -> None:
    tokenizer = byte_bpe("Ġ|W", trim_offsets=trim_offsets)
    made = split(tokenizer, "at nine. When?", "at nine. ")
    assert tokenizer.decode(made.question) == " When?"


def test_a_letter_of_several_tokens_is_never_cut_in_two() -> None:
    tokenizer = byte_bpe()
    made = split(tokenizer, "灯塔吗", "灯塔")
    assert tokenizer.decode(made.context) == "灯塔"
    assert tokenizer.decode(made.question) == "吗"


def test_the_last_of_several_occurrences_counts() -> None:
    tokenizer = byte_bpe()
    made = split(tokenizer, "ab ab ab?", "ab")
    assert tokenizer.decode(made.question) == "?"


def test_aware_leaves_one_token(tokenizer: Any) -> None:
    prompt = render(tokenizer, "The lamp was lit.\nWhen?", "The answer is")
    made = split(tokenizer, prompt, "The lamp was lit.", aware=True)
    ids = encode(tokenizer, prompt)
    assert (list(made.context), list(made.question)) == (ids[:-1], ids[-1:])


@pytest.mark.parametrize(
    ("prompt", "context"),
    [("some prompt", "other text"), ("some prompt", ""), ("", ""), ("some prompt", "some prompt")],
)
def test_a_prompt_without_two_sides_is_refused(tokenizer: Any, prompt: str, context: str) -> None:
    with pytest.raises(UserError):
        split(tokenizer, prompt, context)


def test_a_template_that_changes_the_text_is_refused(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", "{% for m in messages %}{{ m['content'] | upper }}!{% endfor %}")
    with pytest.raises(UserError, match="template"):
        split(tokenizer, render(tokenizer, "some text\nWhy?"), "some text")


def test_the_chat_form_is_the_templates_own(tokenizer: Any) -> None:
    assert chat_form(tokenizer) == "chat"
    prompt = render(tokenizer, "Hello {{ you }}", "I say")
    assert "<|im_start|>user\nHello {{ you }}<|im_end|>\n<|im_start|>assistant\nI say" in prompt
    assert prompt.endswith("I say")
    assert render(tokenizer, "Hello").endswith("<|im_start|>assistant\n")


def test_without_a_template_the_answer_prefix_follows_and_the_tokenizer_adds_its_own(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    assert chat_form(tokenizer) == "plain"
    assert render(tokenizer, "Hello", "I say") == "Hello I say"
    assert encode(tokenizer, "Hello") == tokenizer("Hello")["input_ids"]


@pytest.fixture
def with_bos(tokenizer: Any) -> Callable[[], Any]:
    """The same tokenizer as one that puts a BOS in front by itself."""
    from tokenizers.processors import TemplateProcessing

    def make() -> Any:
        own = AutoTokenizer.from_pretrained(find_model("smollm2-135m"))
        adds = TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)])
        own.backend_tokenizer.post_processor = adds
        return own

    return make


def test_a_template_that_writes_bos_gets_no_second_one(with_bos: Callable[[], Any]) -> None:
    tokenizer = with_bos()
    prompt = render(tokenizer, "The lamp was lit.\nWhen?")
    made = split(tokenizer, prompt, "The lamp was lit.")
    assert made.context[0] == 1
    assert made.context[1] != 1
    tokenizer.chat_template = None
    made = split(tokenizer, "The lamp was lit.\nWhen?", "The lamp was lit.")
    assert made.context[0] == 1
    assert tokenizer.decode(made.context[1:]) == "The lamp was lit."


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
    st.lists(st.integers(0, 9), min_size=1, max_size=9),
    st.integers(0, 40),
)
def test_what_is_too_long_loses_the_middle_of_its_context_and_nothing_else(
    context: list[int], question: list[int], most: int
) -> None:
    whole = Prompt(tuple(context), tuple(question))
    cut = whole.within(most)
    assert cut.question == whole.question
    if whole.n_tokens <= most:
        assert cut == whole
        return
    room = max(most - len(question), 0)
    assert len(cut.context) == room
    assert cut.n_cut == len(context) - room
    front = room // 2
    assert list(cut.context) == context[:front] + context[len(context) - (room - front) :]
    aware = cut.aware()
    assert (*aware.context, *aware.question) == (*cut.context, *cut.question)
    assert (len(aware.question), aware.n_cut) == (1, cut.n_cut)
