"""A model's chat template, settled when the model is loaded: the day it prints, and whether the model thinks.

transformers hands a template plain data only and gives it the clock of the machine, so what is settled stands as Jinja
statements in front of the template itself. Every way of rendering then gives the same text, and the template's hash
covers it; a template that neither prints a date nor knows a switch stays as it is.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from ... import UserError

TEMPLATE_DATE = datetime(2025, 1, 1)
"""The day on which every prompt is put: with the real one, prompts and scores would change from day to day."""

SWITCHES = ("enable_thinking", "thinking", "reasoning")
"""Names of the variable by which templates take the switch (Qwen 3, GLM, SmolLM 3; Granite, DeepSeek; Command A)."""

MARKS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
)
"""How thoughts begin and end in the text of models."""

PROBE = "lukv-bench probe"
_SYSTEM, _USER, _ASSISTANT = ({"role": role, "content": PROBE} for role in ("system", "user", "assistant"))
_CONVERSATIONS: Sequence[Sequence[dict[str, str]]] = (
    (_USER,),
    (_SYSTEM, _USER),
    (_USER, _ASSISTANT),
    (_SYSTEM, _USER, _ASSISTANT),
)


@dataclass(frozen=True)
class Thinking:
    """Whether a model is let think, and how its thoughts are told from its answer.

    Attributes:
        on: The part of the answer behind the last end of thoughts counts.
        start: Text that opens the thoughts.
        end: Text that closes them; "" where it is not known.
        openings: What the template writes behind the last user turn where it opens the thoughts and leaves them open.
        opened: Whether the prompt ends inside the thoughts.
    """

    on: bool = False
    start: str = MARKS[0][0]
    end: str = MARKS[0][1]
    openings: tuple[str, ...] = ()
    opened: bool = False

    def behind(self, prompt: str, chat: bool) -> "Thinking":
        """The same for the answer to a rendered prompt; outside the chat template no model is let think.

        Raises:
            UserError: the prompt opens thoughts that are off, or thoughts could not be told from the answer.
        """
        if not chat:
            return replace(self, on=False)
        if self.on and not self.end:
            raise UserError(
                "thinking is on, and the chat template has no mark that ends the thoughts, so the answer could not be "
                "told from them; leave thinking off, or name the mark (from lm-eval: think_end_token)."
            )
        opened = any(text in prompt and self.end not in prompt.rpartition(text)[2] for text in self.openings)
        if opened and not self.on:
            raise UserError(
                f"the chat template ends the prompt inside a thinking block ({self.start}) that none of its switches "
                "closes; switch thinking on (--thinking; from lm-eval: enable_thinking=True) or use another model."
            )
        return replace(self, opened=opened)


NO_THINKING = Thinking()
"""Of a model that is not known to think."""


class Settled(NamedTuple):
    """What was settled of a template.

    Attributes:
        record: What a configuration says of it beside the template's hash; only what changes prompts or answers.
    """

    thinking: Thinking
    record: tuple[str, ...]


def settle_template(tokenizer: Any, thinking: bool) -> Settled:
    """Fix what a tokenizer's chat template would leave to the clock or to its own default.

    Args:
        tokenizer: Its `chat_template` is replaced where something is settled.
        thinking: Whether the model is let think.
    """
    template = default_template(tokenizer)
    if template is None:
        return Settled(Thinking(thinking, end="" if thinking else MARKS[0][1]), ())
    dated = _dated(tokenizer, template)
    switches = _switches(tokenizer, dated, thinking)
    settled = "".join(f"{{%- set {name} = {str(thinking).lower()} %}}\n" for name in switches) + dated
    if settled != template:
        tokenizer.chat_template = settled
    record = [f"date-{TEMPLATE_DATE:%Y-%m-%d}"] if dated != template else []
    if thinking or switches:
        record.append(f"thinking-{'on' if thinking else 'off'}")
    return Settled(_thinking(tokenizer, settled, thinking), tuple(record))


def default_template(tokenizer: Any) -> str | None:
    """The template that is used; None where there is none, or several and none of them is the default."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template or None


def conversation_heads(tokenizer: Any) -> tuple[str, ...]:
    """How the template begins a conversation, with a system turn or without; "" is no way to begin."""
    template = default_template(tokenizer)
    if template is None:
        return ()
    heads = [head for turns in _CONVERSATIONS[:2] for head, _ in _surroundings(tokenizer, template, turns)]
    return tuple(filter(None, heads))


def held_mark(tokenizer: Any, text: str) -> str | None:
    """A mark of a chat template that a text holds already, so that it must not be put into the template again."""
    mark_in_text = next((mark for mark in _COMMON_MARKS if mark in text), None)
    template = default_template(tokenizer)
    if mark_in_text is not None or template is None:
        return mark_in_text
    for head, tail in _surroundings(tokenizer, template, (_USER,)):
        tokens = (token.content for token in tokenizer.added_tokens_decoder.values())
        if (token := next((t for t in tokens if t.strip() and t in head + tail and t in text), None)) is not None:
            return str(token)
        opening = head.removeprefix(tokenizer.bos_token or "").strip()
        if opening and text.lstrip().startswith(opening):
            return opening
    return None


_COMMON_MARKS = ("<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "[INST]", "<|user|>", "<\uff5cUser\uff5c>")
"""Marks of the templates that RULER's own scripts write into their samples, and of others as common."""


def _surroundings(tokenizer: Any, template: str, turns: Sequence[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """What the template writes in front of the first of these turns and behind the last; nothing if it refuses them."""
    head, separator, rest = (_rendered(tokenizer, template, turns) or "").partition(PROBE)
    if separator:
        yield head, rest.rpartition(PROBE)[2]


def _thinking(tokenizer: Any, template: str, on: bool) -> Thinking:
    start, end = next((marks for marks in MARKS if any(mark in template for mark in marks)), ("", ""))
    if not end:
        return Thinking(on, start, end) if on else NO_THINKING
    behind = [text for turns in _CONVERSATIONS for text in _behind_user(tokenizer, template, turns)]
    openings = (text.strip() for text in behind if start in text and end not in text.rpartition(start)[2])
    return Thinking(on, start, end, tuple(dict.fromkeys(openings)))


def _behind_user(tokenizer: Any, template: str, turns: Sequence[dict[str, str]]) -> Iterator[str]:
    """What the template writes between the last user turn and the model's own words."""
    parts = (_rendered(tokenizer, template, turns) or "").split(PROBE)
    if len(parts) == len(turns) + 1:
        yield parts[-1] if turns[-1]["role"] == "user" else parts[-2]


def _switches(tokenizer: Any, template: str, value: bool) -> list[str]:
    """The variables that the template reads and that change what it writes when they are set so."""
    return [
        name
        for name in SWITCHES
        if name in template
        and any(
            _rendered(tokenizer, template, turns) != _rendered(tokenizer, template, turns, **{name: value})
            for turns in _CONVERSATIONS
        )
    ]


def _rendered(tokenizer: Any, template: str, turns: Sequence[dict[str, str]], **variables: bool) -> str | None:
    """A conversation in a template, None where the template refuses it."""
    last_is_users = turns[-1]["role"] == "user"
    try:
        text = tokenizer.apply_chat_template(
            list(turns),
            chat_template=template,
            tokenize=False,
            add_generation_prompt=last_is_users,
            continue_final_message=not last_is_users,
            **variables,
        )
    except Exception:  # a template is a program of the model's author; what it refuses is told when it is used
        return None
    return str(text)


def _dated(tokenizer: Any, template: str) -> str:
    """The template with the fixed date, if it prints one."""
    if "strftime_now" not in template:
        return template
    fixed, other = (_date_macro(day) + template for day in (TEMPLATE_DATE, datetime(2031, 11, 23, 16, 47, 58)))
    prints = any(_rendered(tokenizer, fixed, turns) != _rendered(tokenizer, other, turns) for turns in _CONVERSATIONS)
    return fixed if prints else template


def _date_macro(day: datetime) -> str:
    """A Jinja macro that stands in for transformers' `strftime_now`; the line end behind it is Jinja's to remove."""
    padded = {f"%{letter}": day.strftime(f"%{letter}") for letter in "aAbBcdHIjmMpSuUwWxXyYZ"}
    bare = {f"%-{code[1]}": value.lstrip("0") or "0" for code, value in padded.items() if value.isdigit()}
    codes = json.dumps(padded | bare | {"%F": day.strftime("%Y-%m-%d"), "%e": f"{day.day:2d}"})
    return (
        "{%- macro strftime_now(form) -%}{%- set date = namespace(text=form) -%}"
        f"{{%- for code, value in {codes}.items() -%}}"
        "{%- set date.text = date.text.replace(code, value) -%}{%- endfor -%}{{ date.text }}{%- endmacro %}\n"
    )
