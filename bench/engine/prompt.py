"""Tokenises a rendered prompt once and cuts it where its context ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import UserError
from ..errors import first_line
from .truncate import cut_middle

if TYPE_CHECKING:
    from ...tasks.document import Turn


@dataclass(frozen=True)
class Prompt:
    """A prompt's token ids, cut in two.

    Attributes:
        context: Fed before the eviction, including the beginning of the chat template.
        question: Fed after it; never empty.
        n_cut: Tokens that truncation removed from the middle of the context.
    """

    context: tuple[int, ...]
    question: tuple[int, ...]
    n_cut: int = 0

    @property
    def n_tokens(self) -> int:
        """Tokens of context and question."""
        return len(self.context) + len(self.question)

    def within(self, most: int) -> "Prompt":
        """The prompt in at most `most` tokens: the middle of its context is cut, never its question."""
        ids, n_cut = cut_middle(self.context, most - len(self.question))
        return replace(self, context=ids, n_cut=self.n_cut + n_cut)

    def aware(self) -> "Prompt":
        """Cut before the last token instead: the whole prompt is the context."""
        ids = (*self.context, *self.question)
        return replace(self, context=ids[:-1], question=ids[-1:])


def chat_form(tokenizer: Any, chat: bool = True) -> str:
    """ "chat" where the tokenizer has a chat template and the task does not forbid it, else "plain"."""
    return "chat" if chat and tokenizer.chat_template else "plain"


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
        )
    except Exception as error:  # a template is code of the model's author and may raise anything
        roles = ", ".join(str(turn["role"]) for turn in turns)
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} cannot render the turns {roles} ({first_line(error)})."
        ) from error
    return str(text)


def render(tokenizer: Any, user: str, answer_prefix: str = "", chat: bool = True, later: "Sequence[Turn]" = ()) -> str:
    """A user turn and the beginning of the answer, as lm-eval renders them for this model.

    Without a chat template a space parts a question from its answer, and an empty line that from the next question.

    Args:
        tokenizer: With or without a chat template.
        user: The user turn.
        answer_prefix: First words of the answer; "" = none.
        chat: Whether the chat template is used where there is one.
        later: The turns of a dialogue behind the user turn, the last one the user's.
    """
    if chat_form(tokenizer, chat) == "plain":
        for answer, question in zip(later[::2], later[1::2], strict=True):
            user = f"{_spaced(user, answer['content'])}\n\n{question['content']}"
        return _spaced(user, answer_prefix)
    turns = [{"role": "user", "content": user}, *({"role": one["role"], "content": one["content"]} for one in later)]
    if not answer_prefix:
        return render_turns(tokenizer, turns)
    return render_turns(tokenizer, [*turns, {"role": "assistant", "content": answer_prefix}], False)


def _spaced(user: str, answer: str) -> str:
    joined = not user or not answer or user[-1].isspace() or answer[0].isspace()
    return user + answer if joined else f"{user} {answer}"


class Tokens(NamedTuple):
    """A text's tokens.

    Attributes:
        ids: Token ids.
        offsets: For each token its first character and the index after its last.
    """

    ids: tuple[int, ...]
    offsets: Sequence[tuple[int, int]]


def adds_special_tokens(tokenizer: Any, prompt: str, chat: bool = True) -> bool:
    """Whether the tokenizer must add its special tokens (BOS): not to a chat prompt, whose template writes its own, nor
    to a prompt that already begins with BOS."""
    bos = tokenizer.bos_token
    return chat_form(tokenizer, chat) == "plain" and not (bos and prompt.startswith(bos))


def ids_of(tokenizer: Any, text: str, special_tokens: bool) -> list[int]:
    """A text's token ids, with the tokenizer's leading special tokens if `special_tokens`.

    Trailing special tokens (EOS) are left out, since the model continues the text.
    """
    ids: list[int] = tokenizer(text, add_special_tokens=special_tokens)["input_ids"]
    return ids[: len(ids) - (_n_behind(tokenizer) if special_tokens else 0)]


def tokens_of(tokenizer: Any, text: str, special_tokens: bool) -> Tokens:
    """The ids of `ids_of` with their character offsets."""
    coded = tokenizer(text, add_special_tokens=special_tokens, return_offsets_mapping=True)
    end = len(coded["input_ids"]) - (_n_behind(tokenizer) if special_tokens else 0)
    return Tokens(tuple(coded["input_ids"][:end]), coded["offset_mapping"][:end])


def appends_special_tokens(tokenizer: Any) -> bool:
    """Whether the tokenizer appends special tokens (EOS) to a text."""
    return _n_behind(tokenizer) > 0


def _n_behind(tokenizer: Any) -> int:
    """Number of special tokens that the tokenizer appends to a text."""
    added = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return next((n for n, is_special in enumerate(reversed(added)) if not is_special), 0)


ANCHOR = 32
"""Characters of a prompt that its continuation is tokenised with: a tokenizer may write the first word of a text in
other tokens."""


def continuation_ids(tokenizer: Any, prompt: str, text: str) -> tuple[int, ...]:
    """Token ids of a text as they would follow a rendered prompt, a space between two words or after a mark that ends
    a sentence or a part of it, in ASCII: other scripts have none there."""
    anchor = prompt[-ANCHOR:]
    parted = (
        anchor[-1:].isascii() and (anchor[-1:].isalnum() or anchor[-1:] in tuple(".,:;?!")) and not text[0].isspace()
    )
    own = f" {text}" if parted and text[0].isascii() else text
    before, whole = (tuple(ids_of(tokenizer, part, False)) for part in (anchor, anchor + own))
    n = len(before)
    return whole[n:] if whole[:n] == before else tuple(ids_of(tokenizer, own, False))


def encode(tokenizer: Any, prompt: str, chat: bool = True) -> list[int]:
    """Token ids of a rendered prompt, BOS once."""
    return ids_of(tokenizer, prompt, adds_special_tokens(tokenizer, prompt, chat))


def split(
    tokenizer: Any, prompt: str, context: str, aware: bool = False, *, question: str = "", chat: bool = True
) -> Prompt:
    """Tokenise a rendered prompt once and cut it where its context ends.

    The ids are those of the whole prompt. A token that spans the cut belongs to the question, so that no part of the
    question is ever compressed.

    Args:
        tokenizer: A fast tokenizer.
        prompt: The rendered prompt.
        context: The document's context, verbatim inside it; the last occurrence counts.
        aware: Cut before the last token instead: the whole prompt is the context.
        question: The text after the context, if known; it identifies the context where the question repeats it.
        chat: Whether the prompt is in the chat template, where the tokenizer has one.

    Raises:
        UserError: the context is not in the prompt, or leaves nothing on one side of the cut.
    """
    ids, cut = cut_at_context(tokenizer, prompt, context, question, chat)
    if not 0 < cut < len(ids):
        raise UserError("the prompt has no tokens on one side of its context's end.")
    parts = Prompt(context=ids[:cut], question=ids[cut:])
    return parts.aware() if aware else parts


def cut_at_context(
    tokenizer: Any, prompt: str, context: str, question: str = "", chat: bool = True
) -> tuple[tuple[int, ...], int]:
    """The prompt's ids and how many of them end at or before the context's end.

    Raises:
        UserError: the context is not in the prompt.
    """
    end = end_of_context(prompt, context, question)
    if end is None:
        raise UserError("the prompt does not hold its context verbatim (is it empty, or did the template change it?).")
    if question.strip() and prompt.count((context + question).strip()) > 1:
        raise UserError("the prompt holds its context and question more than once (does the template repeat a turn?).")
    return cut_at(tokenizer, prompt, end, adds_special_tokens(tokenizer, prompt, chat))


def end_of_context(prompt: str, context: str, question: str = "") -> int | None:
    """The index after the last occurrence of a context in a prompt, followed by its question if that is known; None if
    there is none."""
    place = place_of_context(prompt, context, question)
    return None if place is None else place[1]


def place_of_context(prompt: str, context: str, question: str = "") -> tuple[int, int] | None:
    """Where the last occurrence of a context stands in a prompt, followed by its question if that is known; None if
    there is none.

    A template may trim a turn, so outer white space may be missing.

    Returns:
        What to add to an index in the context for that in the prompt, and the index after the context.
    """
    whole = context + question
    n_front = len(whole) - len(whole.lstrip())
    forms = ((whole, 0), (whole.lstrip(), n_front), (whole.rstrip(), 0), (whole.strip(), n_front))
    for text, n_trimmed in forms if context else ():
        at = prompt.rfind(text)
        if text and at >= 0:
            return at - n_trimmed, at + min(max(len(context) - n_trimmed, 0), len(text))
    return None


def cut_at(tokenizer: Any, prompt: str, end: int, special_tokens: bool) -> tuple[tuple[int, ...], int]:
    """A prompt's ids and how many of them end at or before a character.

    Args:
        tokenizer: A fast tokenizer.
        prompt: The rendered prompt.
        end: Index of the character that begins the question.
        special_tokens: Whether the tokenizer adds its own (BOS).
    """
    ids, offsets = tokens_of(tokenizer, prompt, special_tokens)
    cut = next((i for i, (_, last) in enumerate(offsets) if last > end), len(ids))
    if cut and _reaches_past(tokenizer, ids[cut - 1], prompt, offsets[cut - 1], end):
        cut -= 1
    return ids, cut


def _reaches_past(tokenizer: Any, token: int, prompt: str, offsets: tuple[int, int], end: int) -> bool:
    """Whether a token includes white space after the context's end that its offsets leave out (`trim_offsets`)."""
    first, last = offsets
    text = str(tokenizer.decode([token]))
    n_trailing = len(text) - len(text.rstrip())
    n_inside = len(prompt[first:last]) - len(prompt[first:last].rstrip())
    return last + n_trailing - n_inside > end
