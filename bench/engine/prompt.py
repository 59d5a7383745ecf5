"""One boundary and one tokenisation: a rendered prompt, cut where its context ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ... import UserError

TEMPLATE_DATE = datetime(2025, 1, 1)
"""What a chat template that prints the date is told: with the real one, prompts would change from day to day."""


@dataclass(frozen=True)
class Prompt:
    """A prompt's token ids, cut in two.

    Attributes:
        context: Fed before the eviction: template head included.
        question: Fed after it; never empty.
    """

    context: tuple[int, ...]
    question: tuple[int, ...]


def chat_form(tokenizer: Any) -> str:
    """ "chat" where the tokenizer has a chat template, else "plain"; part of every configuration."""
    return "chat" if tokenizer.chat_template else "plain"


def render_turns(tokenizer: Any, turns: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """Turns in the model's chat template, the last one left open when no generation prompt is added.

    Raises:
        UserError: the template fails.
    """
    try:
        text = tokenizer.apply_chat_template(
            list(turns),
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            strftime_now=lambda form: TEMPLATE_DATE.strftime(form),
        )
    except Exception as error:  # a template is a program of the model's author; it may raise anything
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} cannot render a user turn ({error})."
        ) from error
    return str(text)


def render(tokenizer: Any, user: str, answer_prefix: str = "") -> str:
    """A user turn and the beginning of the answer, as lm-eval renders them for this model."""
    if chat_form(tokenizer) == "plain":
        return f"{user} {answer_prefix}" if answer_prefix else user
    turns = [{"role": "user", "content": user}]
    if not answer_prefix:
        return render_turns(tokenizer, turns)
    return render_turns(tokenizer, [*turns, {"role": "assistant", "content": answer_prefix}], False)


def encode(tokenizer: Any, prompt: str) -> list[int]:
    """Token ids of a rendered prompt; a chat template brings its own BOS, a plain prompt gets the tokenizer's."""
    return list(tokenizer(prompt, add_special_tokens=chat_form(tokenizer) == "plain")["input_ids"])


def split(tokenizer: Any, prompt: str, context: str, aware: bool = False) -> Prompt:
    """Tokenise a rendered prompt once and cut it where its context ends.

    The ids are those of the unsplit prompt. A token that straddles the cut goes to the question, so nothing of
    the question is ever compressed.

    Args:
        tokenizer: A fast tokenizer.
        prompt: The rendered prompt.
        context: The document's context, verbatim inside it; the last occurrence counts.
        aware: Cut before the last token instead: the whole prompt is the context.

    Raises:
        UserError: the context is not in the prompt, or leaves nothing on one side of the cut.
    """
    ids, cut = cut_at_context(tokenizer, prompt, context)
    if aware:
        cut = len(ids) - 1
    if not 0 < cut < len(ids):
        raise UserError("the prompt has no tokens on one side of its context's end.")
    return Prompt(context=ids[:cut], question=ids[cut:])


def cut_at_context(tokenizer: Any, prompt: str, context: str) -> tuple[tuple[int, ...], int]:
    """The prompt's ids and how many of them lie wholly in front of the context's end.

    Raises:
        UserError: the context is not in the prompt.
    """
    at = prompt.rfind(context)
    if at < 0 or not context:
        raise UserError("the prompt does not hold its context verbatim (is it empty, or did the template change it?).")
    return cut_at(tokenizer, prompt, at + len(context), chat_form(tokenizer) == "plain")


def cut_at(tokenizer: Any, prompt: str, end: int, special_tokens: bool) -> tuple[tuple[int, ...], int]:
    """A prompt's ids and how many of them lie wholly in front of a character.

    Args:
        tokenizer: A fast tokenizer.
        prompt: The rendered prompt.
        end: Index of the character that begins the question.
        special_tokens: Whether the tokenizer adds its own (BOS).
    """
    coded = tokenizer(prompt, add_special_tokens=special_tokens, return_offsets_mapping=True)
    ids, offsets = tuple(coded["input_ids"]), coded["offset_mapping"]
    cut = next((i for i, (_, last) in enumerate(offsets) if last > end), len(ids))
    if cut and _reaches_past(tokenizer, ids[cut - 1], prompt, offsets[cut - 1], end):
        cut -= 1
    return ids, cut


def _reaches_past(tokenizer: Any, token: int, prompt: str, offsets: tuple[int, int], end: int) -> bool:
    """Whether a token holds white space behind the context's end that its offsets do not tell (`trim_offsets`)."""
    first, last = offsets
    text = str(tokenizer.decode([token]))
    hidden = len(text) - len(text.rstrip())
    told = len(prompt[first:last]) - len(prompt[first:last].rstrip())
    return last + hidden - told > end
