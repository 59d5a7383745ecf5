"""Feed the question and generate, for one row or a batch of rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Literal

import torch
from torch import Tensor

from ..models.load import LoadedModel
from .cache import StoreCache
from .clock import now
from .drafts import Drafts
from .feed import MESSAGE, feed, finite
from .rotary import rotating_for
from .stop import Stop

StopReason = Literal["eos", "stop_string", "length"]
Choose = Callable[[Tensor, Tensor], Tensor]
"""Next tokens int64 [n] from logits float32 [n, vocabulary] and the row of each, int64 [n] on the CPU, ascending. A row
with a draft of k tokens has k + 1 of them: after its last token, and after each token of the draft."""


NOT_FINITE = -1
"""Stands for a token whose logits are not finite."""


@dataclass
class Decoded:
    """What one row generated.

    Attributes:
        ids: The generated tokens, the EOS left out.
        text: Their text, cut at a stop string, without thoughts.
        stop_reason: Why it ended.
        events: Recorded with the answer.
        n_chosen: Tokens chosen, an EOS included: the forward passes that it takes token by token.
        n_passes: The forward passes that it took.
    """

    ids: list[int] = field(default_factory=list)
    text: str = ""
    stop_reason: StopReason = "length"
    events: list[dict[str, object]] = field(default_factory=list)
    n_chosen: int = 0
    n_passes: int = 0


@dataclass(frozen=True)
class Decoding:
    """What a batch generated, and its wall seconds.

    Attributes:
        rows: One a row.
        first_token_s: From the first token fed after the eviction to the first token chosen.
        tpot_s: Mean seconds of each later pass; None where there was none.
    """

    rows: list[Decoded]
    first_token_s: float
    tpot_s: float | None


@dataclass(frozen=True)
class Pass:
    """A forward pass of a batch, as observers see it.

    Attributes:
        rows: The rows that were in it.
        logits: One [n, vocabulary] a row: after its last token, and after each token of its draft.
        tokens: The n tokens that each row chose; `NOT_FINITE` where the logits are not.
        n_accepted: How many of them became part of its answer, an EOS included.
    """

    rows: Sequence[int]
    logits: Sequence[Tensor]
    tokens: Sequence[Sequence[int]]
    n_accepted: Sequence[int]


Observer = Callable[[Pass], None]
"""Called after each forward pass."""


def fed_at_most(max_new_tokens: int) -> int:
    """The most tokens of an answer that are fed: all but the last."""
    return max(max_new_tokens - 1, 0)


def greedy(logits: Tensor, rows: Tensor) -> Tensor:
    """The most likely tokens; the lowest id among equals."""
    return logits.argmax(dim=-1)


@torch.inference_mode()
def decode(
    loaded: LoadedModel,
    cache: StoreCache,
    chunks: Sequence[Sequence[int]],
    stop: Stop,
    choose: Choose = greedy,
    drafts: Drafts | None = None,
    first_draft: Sequence[int] | None = None,
    observer: Observer | None = None,
) -> Decoding:
    """Feed each row's chunk in one pass, then generate until every row has stopped.

    A row that has stopped leaves the batch and the cache. With drafts, a pass also feeds what another answer suggests
    to come next: the tokens that the row chooses itself are kept, as if they had been fed one by one, and the others
    are taken back.

    Args:
        loaded: The model, switched to store attention.
        cache: Stores over the context, with as many rows as there are chunks and nothing fed yet.
        chunks: Token ids fed after the context, one list a row, none empty.
        stop: When a row ends.
        choose: How the next tokens are picked; with drafts, a function of the logits alone.
        drafts: Answers to the same question; those of the rows are added. None = token by token.
        first_draft: What every row's first pass feeds as its draft, shorter than the longest answer; None = from
            `drafts`.
        observer: Called after each pass.
    """
    n_fed = int(cache.n_seen.max()) + max(map(len, chunks)) + fed_at_most(stop.max_new_tokens)
    rows, pending = [Decoded() for _ in chunks], dict(enumerate(chunks))
    batch = _Batch(loaded, cache, stop, choose, drafts, rows, pending, first_draft, observer)
    with rotating_for(loaded.model, cache.n_sequence, n_fed):
        started = now(loaded.device)
        batch.advance()
        first_token_s = now(loaded.device) - started
        n_later = 0
        while batch.pending:
            batch.advance()
            n_later += 1
        later_s = now(loaded.device) - started - first_token_s
    for row in batch.rows:
        row.text = stop.text(loaded.tokenizer, row.ids)
        row.events = stop.events(loaded.tokenizer, row.ids)
    return Decoding(batch.rows, first_token_s, later_s / n_later if n_later else None)


@dataclass
class _Batch:
    """Rows that decode together.

    Attributes:
        rows: What each has generated.
        pending: By row that goes on, what it is fed next; the rows of the cache, in order.
    """

    loaded: LoadedModel
    cache: StoreCache
    stop: Stop
    choose: Choose
    drafts: Drafts | None
    rows: list[Decoded]
    pending: dict[int, Sequence[int]]
    first_draft: Sequence[int] | None
    observer: Observer | None

    def advance(self) -> None:
        """One forward pass; rows that stop leave the batch."""
        guesses = {row: self._guess(self.rows[row]) for row in self.pending}
        n_places = [len(guess) + 1 for guess in guesses.values()]
        logits = self._logits(guesses, n_places)
        chosen = self._chosen(logits, list(guesses), n_places)
        n_wrong, going_on = [], dict[int, Sequence[int]]()
        for (row, guess), tokens in zip(guesses.items(), chosen, strict=True):
            generated, n_before = self.rows[row], self.rows[row].n_chosen
            if self._accept(generated, guess, tokens):
                going_on[row] = generated.ids[-1:]
            elif self.drafts is not None:
                self.drafts.add(generated.ids)
            n_wrong.append(len(guess) + 1 - (generated.n_chosen - n_before))
        if self.observer is not None:
            n_accepted = [n - wrong for n, wrong in zip(n_places, n_wrong, strict=True)]
            self.observer(Pass(list(guesses), logits.split(n_places), chosen, n_accepted))
        if any(n_wrong):
            self.cache.take_back(torch.tensor(n_wrong))
        if 0 < len(going_on) < len(guesses):
            self.cache.keep_rows(torch.tensor([place for place, row in enumerate(guesses) if row in going_on]))
        self.pending = going_on

    def _guess(self, generated: Decoded) -> list[int]:
        """A draft of what a row generates next, so long that there is room for one more token."""
        if self.first_draft is not None and not generated.n_chosen:
            return list(self.first_draft)
        if self.drafts is None:
            return []
        return self.drafts.after(generated.ids, max(self.stop.max_new_tokens - len(generated.ids) - 1, 0))

    def _logits(self, guesses: Mapping[int, Sequence[int]], n_places: Sequence[int]) -> Tensor:
        """Feed what is pending and the drafts: float32 [sum of n_places, vocabulary], row after row."""
        chunks = [[*self.pending[row], *guess] for row, guess in guesses.items()]
        return feed(self.loaded, self.cache, chunks, n_places).float()

    def _chosen(self, logits: Tensor, rows: Sequence[int], n_places: Sequence[int]) -> list[list[int]]:
        """Per row the tokens chosen after what was pending and after each token of its draft, `NOT_FINITE` where the
        logits are not.

        Raises:
            ArithmeticError: the logits after what was pending are not finite.
        """
        sizes = torch.tensor(n_places)
        first = sizes.cumsum(0) - sizes
        usable = finite(logits)
        if not bool(usable[first.to(logits.device)].all()):
            raise ArithmeticError(MESSAGE)
        of_row = torch.tensor(rows).repeat_interleave(sizes)
        tokens = iter(self.choose(logits, of_row).masked_fill(~usable, NOT_FINITE).tolist())
        return [list(islice(tokens, n)) for n in n_places]

    def _accept(self, generated: Decoded, guess: Sequence[int], tokens: Sequence[int]) -> bool:
        """Add a row's tokens up to the first that its draft does not have; whether the row goes on.

        Raises:
            ArithmeticError: the logits of one of them are not finite.
        """
        generated.n_passes += 1
        for token, drafted in zip_longest(tokens, guess):
            if token == NOT_FINITE:
                raise ArithmeticError(MESSAGE)
            generated.n_chosen += 1
            if not _add(self.loaded, generated, token, self.stop):
                return False
            if token != drafted:
                break
        return True


def _add(loaded: LoadedModel, row: Decoded, token: int, stop: Stop) -> bool:
    """Add a token to a row; whether the row goes on."""
    if len(row.ids) >= stop.max_new_tokens:
        return False
    if token in stop.eos:
        row.stop_reason = "eos"
        return False
    row.ids.append(token)
    if stop.reached(loaded.tokenizer, row.ids):
        row.stop_reason = "stop_string"
        return False
    return len(row.ids) < stop.max_new_tokens
