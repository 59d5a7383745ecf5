"""Fixes what a model's chat template leaves open: the date it prints, and whether the model thinks.

transformers gives templates the machine's clock, so the fixed values are prepended to the template as Jinja statements.
Every way of rendering then gives the same text, and the template's hash covers them. A template that neither prints a
date nor has a thinking switch is left unchanged.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from ... import UserError

TEMPLATE_DATE = datetime(2025, 1, 1)
"""The date in every prompt. With the real date, prompts and scores would change from day to day."""

SWITCHES = ("enable_thinking", "thinking", "reasoning")
"""Names of the template variable that switches thinking (Qwen 3, GLM, SmolLM 3; Granite, DeepSeek; Command A)."""

MARKS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
)
"""Texts that open and close the thoughts of models."""

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
    """Whether thinking is enabled, and how thoughts are separated from the answer.

    Attributes:
        on: Whether it is enabled; only the text after the last end of thoughts is then the answer.
        start: Text that opens the thoughts.
        end: Text that closes them; "" if it is not known.
        openings: Texts that the template writes after the last user turn if it opens thoughts and leaves them open.
        opened: Whether the prompt ends inside the thoughts.
    """

    on: bool = False
    start: str = MARKS[0][0]
    end: str = MARKS[0][1]
    openings: tuple[str, ...] = ()
    opened: bool = False

    def behind(self, prompt: str, chat: bool) -> "Thinking":
        """A copy for the answer to a rendered prompt; without the chat template thinking is off.

        Raises:
            UserError: the prompt opens thoughts that are off, or thoughts could not be told from the answer.
        """
        if not chat:
            return replace(self, on=False)
        if self.on and not self.end:
            raise UserError(
                "thinking is on, and the chat template has no mark that ends the thoughts, so the answer cannot be "
                "separated from them; leave thinking off, or name the mark (from lm-eval: think_end_token)."
            )
        opened = any(text in prompt and self.end not in prompt.rpartition(text)[2] for text in self.openings)
        if opened and not self.on:
            raise UserError(
                f"the chat template ends the prompt inside a thinking block ({self.start}) that none of its switches "
                "closes; switch thinking on (--thinking; from lm-eval: enable_thinking=True) or use another model."
            )
        return replace(self, opened=opened)


NO_THINKING = Thinking()
"""For models without a known thinking mode."""


class Settled(NamedTuple):
    """What was fixed in a template.

    Attributes:
        record: Its entries in a configuration besides the template's hash; only what changes prompts or answers.
    """

    thinking: Thinking
    record: tuple[str, ...]


def settle_template(tokenizer: Any, thinking: bool) -> Settled:
    """Fix what a tokenizer's chat template would leave to the clock or to its own default.

    Args:
        tokenizer: Its `chat_template` is replaced if something is fixed.
        thinking: Whether to enable thinking.
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
    """The template in use; None if there is none, or several without a default."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template or None


def conversation_heads(tokenizer: Any) -> tuple[str, ...]:
    """The texts with which the template begins a conversation, without and with a system turn; empty ones left out."""
    template = default_template(tokenizer)
    if template is None:
        return ()
    heads = [head for turns in _CONVERSATIONS[:2] for head, _ in _surroundings(tokenizer, template, turns)]
    return tuple(filter(None, heads))


def held_mark(tokenizer: Any, text: str) -> str | None:
    """A mark of a chat template inside a text, which must then not be put into a template again; None without one."""
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
    """The texts before the first of these turns and after the last; nothing if the template refuses the turns."""
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
    """The text that the template writes between the last user turn and the model's answer."""
    parts = (_rendered(tokenizer, template, turns) or "").split(PROBE)
    if len(parts) == len(turns) + 1:
        yield parts[-1] if turns[-1]["role"] == "user" else parts[-2]


def _switches(tokenizer: Any, template: str, value: bool) -> list[str]:
    """The switches that change the template's output when set to this value."""
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
    """A conversation in a template; None if the template refuses it."""
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
    except Exception:  # a template is code of the model's author; a refusal is reported when it is used
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
    """A Jinja macro that replaces transformers' `strftime_now`; Jinja removes the line end after it."""
    padded = {f"%{letter}": day.strftime(f"%{letter}") for letter in "aAbBcdHIjmMpSuUwWxXyYZ"}
    bare = {f"%-{code[1]}": value.lstrip("0") or "0" for code, value in padded.items() if value.isdigit()}
    codes = json.dumps(padded | bare | {"%F": day.strftime("%Y-%m-%d"), "%e": f"{day.day:2d}"})
    return (
        "{%- macro strftime_now(form) -%}{%- set date = namespace(text=form) -%}"
        f"{{%- for code, value in {codes}.items() -%}}"
        "{%- set date.text = date.text.replace(code, value) -%}{%- endfor -%}{{ date.text }}{%- endmacro %}\n"
    )
