"""Every kind of template and tokenizer: a run and lm-eval's client feed the template's own ids, cut alike."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from lm_eval.api.model import TemplateLM
from lm_eval.evaluator import evaluate
from transformers.utils import chat_template_utils

from lukv_bench import UserError
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import evict, keep_everything
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.prompt import render
from lukv_bench.bench.lmeval_client import model as client
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.samples.cut import cut_document
from lukv_bench.bench.samples.rendering import RenderedDocument, render_document
from lukv_bench.bench.samples.sample_set import Fitting, SampleSet
from lukv_bench.tasks.catalog import task_info
from lukv_bench.tasks.lazy import Lazy
from lukv_bench.tasks.load import LoadedTask, lm_eval_tasks

TASKS = {"chat": "longbench_hotpotqa", "prefixed": "niah_single_1", "plain": "longbench_trec"}
REFUSED = {
    ("system required", "chat"): "a system turn is required",
    ("system required", "prefixed"): "a system turn is required",
    ("no prefill", "prefixed"): "the last turn must be a user turn",
    ("upper case", "chat"): "does not hold its context",
    ("upper case", "prefixed"): "does not hold its context",
    ("repeats", "chat"): "more than once",
    ("repeats", "prefixed"): "more than once",
    ("thinking opened", "chat"): "thinking block",
    ("thinking opened at every answer", "chat"): "thinking block",
    ("thinking opened at every answer", "prefixed"): "thinking block",
}
CLIENT_CANNOT_TELL = ("upper case", "repeats")
"""A foreign document names no question; where its context is not found, the prompt is evicted whole, and so it says."""
CONTEXTS = ("  lanterns = 7  # keeps\n\ttabs", "The ferryman's café, 灯塔 notes e\u0301.\n\nLine two {{ x }}")
QUESTION = "\nWhat is the magic number?\n"
Load = Callable[..., LoadedModel]


def made_task(kind: str) -> LoadedTask:
    name, prefix = TASKS[kind], "The magic number is" if kind == "prefixed" else ""
    more = {"outputs": ["one"], "all_classes": ["one", "two"] if kind == "plain" else []}
    documents: Any = [
        {"task": name, "index": n, "context": text, "question": QUESTION, "answer_prefix": prefix, **more}
        for n, text in enumerate(CONTEXTS)
    ]
    length = 512 if kind == "prefixed" else None
    return LoadedTask(task_info(name), length, 0, "none", Lazy(len(documents), lambda index: documents[index]))


def rendered(task: LoadedTask, tokenizer: Any) -> list[RenderedDocument]:
    return [render_document(task, ordinal, tokenizer) for ordinal in range(len(task.documents))]


class Client(client.LukvLM):
    """Feeds nothing to its model, and keeps what it would feed."""

    feeds: Any = ()

    def _answers(self, doing: str, feeds: Any, answer: Any) -> list[Any]:
        self.feeds = feeds
        return ["" for _ in feeds]


def of_client(loaded: LoadedModel, task: LoadedTask, chat: bool, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(client, "ready_model", lambda *_: loaded)
    model = Client(pretrained="tiny", allocator="full")
    evaluate(
        model, lm_eval_tasks(task, list(task.documents)), apply_chat_template=chat, bootstrap_iters=1, verbosity="ERROR"
    )
    return model.feeds


def own_ids(tokenizer: Any, document: Any, prompt: str, chat: bool) -> list[int]:
    """What the tokenizer itself gives for the turns, or for a plain prompt."""
    if not chat or tokenizer.chat_template is None:
        front = [tokenizer.bos_token_id] if tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id else []
        return [*front, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    prefix, turns = document["answer_prefix"], [{"role": "user", "content": document["context"] + document["question"]}]
    return list(
        tokenizer.apply_chat_template(
            [*turns, {"role": "assistant", "content": prefix}] if prefix else turns,
            add_generation_prompt=not prefix,
            continue_final_message=bool(prefix),
            return_dict=False,
        )
    )


@pytest.mark.parametrize("kind", TASKS)
def test_ids_are_the_templates_own_and_both_clients_cut_alike_or_a_sentence_says_why_not(
    variant: tuple[str, str],
    kind: str,
    tokenizer_of: Callable[[str, str], Any],
    load_with: Load,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded, task, chat = load_with(tokenizer_of(*variant)), made_task(kind), kind != "plain"
    if reason := REFUSED.get((variant[1], kind)):
        with pytest.raises(UserError, match=reason):
            [cut_document(task, sample, loaded.prompts) for sample in rendered(task, loaded.tokenizer)]
        if variant[1] not in CLIENT_CANNOT_TELL:
            with pytest.raises(UserError, match=reason):
                of_client(loaded, task, chat, monkeypatch)
        elif variant[1] == "upper case":
            assert not any(feed.has_context_end for feed in of_client(loaded, task, chat, monkeypatch))
        return
    feeds = of_client(loaded, task, chat and loaded.tokenizer.chat_template is not None, monkeypatch)
    samples = rendered(task, loaded.tokenizer)
    for sample, feed in zip(samples, feeds, strict=True):
        document: Any = sample.document
        prompt = cut_document(task, sample, loaded.prompts)
        ids = [*prompt.context, *prompt.question]
        assert ids == own_ids(loaded.tokenizer, document, sample.prompt, chat)
        assert (feed.context, feed.rest, feed.has_context_end) == (prompt.context, prompt.question, True)
        assert ids[-1] != loaded.tokenizer.eos_token_id
        question = loaded.tokenizer.decode(prompt.question)
        assert QUESTION.strip().lower() in question.lower()
        assert "two" not in question.lower()
        assert "magic" not in loaded.tokenizer.decode(prompt.context)


def test_a_prompt_is_the_same_whatever_day_it_is(
    tokenizer_of: Callable[[str, str], Any], load_with: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks the clock of the machine; what a configuration says holds the day that was used instead."""
    prompts = set()
    for year in (2031, 2032):

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime(year, 5, 6)  # noqa: B023  # called before the loop goes on

        monkeypatch.setattr(chat_template_utils, "datetime", Clock)
        for template in ("date", "date string", "date in a macro"):
            loaded = load_with(tokenizer_of("bytes", template))
            assert loaded.template_record == ("date-2025-01-01",)
            prompts.add(render(loaded.tokenizer, "Hello"))
    assert len(prompts) == 3
    unread = load_with(tokenizer_of("bytes", "date with tools"))
    assert unread.template_record == (), "a date that no prompt holds changes no configuration"
    days = ("Today is January 01, 2025.\n", "Today Date: 01 Jan 2025\n\n", "2025/2025-01-01\n")
    assert all(any(day in prompt for prompt in prompts) for day in days)


SWITCHED = ("thinking switch", "thinking off at first", "thinking word in the turn", "thinking opened")


@pytest.mark.parametrize("template", SWITCHED)
def test_a_model_thinks_where_it_is_let_and_nowhere_else(
    tokenizer_of: Callable[[str, str], Any], load_with: Load, template: str
) -> None:
    own = render(tokenizer_of("bytes", template), "Why?")
    off, on = (load_with(tokenizer_of("bytes", template), thinking) for thinking in (False, True))
    assert on.template_record == ("thinking-on",)
    prompts = {"off": render(off.tokenizer, "Why?"), "on": render(on.tokenizer, "Why?")}
    changed = prompts["off"] != own
    assert off.template_record == (("thinking-off",) if changed else ()), "what changes nothing leaves no trace"
    assert changed == (template in ("thinking switch", "thinking word in the turn"))
    assert (prompts["on"] != own) == (template == "thinking off at first")
    assert on.thinking.behind(prompts["on"], chat=True).opened == (
        template in ("thinking opened", "thinking off at first")
    )
    if template == "thinking opened":
        with pytest.raises(UserError, match=r"--thinking.*enable_thinking=True"):
            off.thinking.behind(prompts["off"], chat=True)
    else:
        assert prompts["off"].rstrip().endswith("</think>")


def test_thinking_is_refused_where_thoughts_could_not_be_told_from_the_answer(
    tokenizer_of: Callable[[str, str], Any], load_with: Load
) -> None:
    for template in ("chat", "none"):
        loaded = load_with(tokenizer_of("bytes", template), thinking=True)
        with pytest.raises(UserError, match="no mark that ends the thoughts"):
            loaded.thinking.behind("Why?", chat=True)
        assert not loaded.thinking.behind("Why?", chat=False).on, "a plain prompt lets no model think"


def texts_of_run(loaded: LoadedModel, task: LoadedTask) -> list[tuple[str, list[str]]]:
    """What a run without eviction answers, and the events of it."""
    found = []
    samples = SampleSet(task, loaded, "agnostic", Fitting())
    for sample in map(samples.sample, range(len(samples))):
        context = prefill(loaded, sample.context, {})
        cache = evict(context, keep_everything(context), len(sample.question) + sample.stop.max_new_tokens)
        (row,) = decode(loaded, cache, [sample.question], sample.stop).rows
        found.append((row.text, [str(event["event"]) for event in row.events]))
    return found


@pytest.mark.parametrize("kind", ["chat", "prefixed"])
@pytest.mark.parametrize(
    ("tokenizer", "template", "thinking"),
    [
        ("BOS and EOS", "none", False),
        ("pieces", "instruction", False),
        ("BOS", "no head", False),
        ("bytes", "chat", False),
        ("plain marks", "thinking switch", False),
        ("plain marks", "thinking opened", True),
    ],
)
def test_a_run_and_lm_evals_client_answer_alike(
    tokenizer_of: Callable[[str, str], Any],
    load_with: Load,
    monkeypatch: pytest.MonkeyPatch,
    tokenizer: str,
    template: str,
    thinking: bool,
    kind: str,
) -> None:
    loaded, task = load_with(tokenizer_of(tokenizer, template), thinking), made_task(kind)
    of_run = texts_of_run(loaded, task)
    monkeypatch.setattr(client, "ready_model", lambda *_: loaded)
    model = client.LukvLM(pretrained="tiny", allocator="full")
    chat = loaded.tokenizer.chat_template is not None
    found = evaluate(
        model, lm_eval_tasks(task, list(task.documents)), apply_chat_template=chat, bootstrap_iters=1, verbosity="ERROR"
    )
    assert [row["resps"][0][0] for row in found["samples"][TASKS[kind]]] == [text for text, _ in of_run]
    assert any(text for text, _ in of_run)
    events = [event for _, events in of_run for event in events]
    assert model.get_model_info()["events"] == ({events[0]: len(events)} if events else {})
    assert bool(events) == (template == "thinking opened" and kind == "chat")


@pytest.mark.parametrize("kind", ["BOS and EOS", "EOS", "BOS", "bytes", "pieces"])
def test_a_continuation_is_scored_behind_its_prompt_and_no_eos_between(
    kind: str, tokenizer_of: Callable[[str, str], Any], load_with: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tokenizer_of(kind, "none")
    monkeypatch.setattr(client, "ready_model", lambda *_: load_with(tokenizer))
    model = client.LukvLM(pretrained="tiny", allocator="full")
    front, back = model._pair("The lamp is ", "magic")
    assert tokenizer.eos_token_id not in (*front, *back)
    assert (front, back) == TemplateLM._encode_pair(model, "The lamp is ", "magic"), "as lm-eval parts them"
    assert tokenizer.decode(back).strip() == "magic" or kind == "pieces", "its pieces go across words"
    assert (front[0] == tokenizer.bos_token_id) == (kind not in ("bytes", "EOS"))
