"""Feed the question and generate, for one row or a batch of rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..models.load import LoadedModel
from .cache import StoreCache
from .clock import now
from .feed import check_finite, feed
from .rotary import rotating_for
from .stop import Stop

StopReason = Literal["eos", "stop_string", "length"]
Choose = Callable[[Tensor], Tensor]
"""Next tokens int64 [B] from logits float32 [B, vocabulary]."""


@dataclass
class Decoded:
    """What one row generated.

    Attributes:
        ids: The generated tokens, the EOS left out.
        text: Their text, cut at a stop string, without thoughts.
        stop_reason: Why it ended.
        events: Recorded with the answer.
    """

    ids: list[int] = field(default_factory=list)
    text: str = ""
    stop_reason: StopReason = "length"
    events: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True)
class Decoding:
    """What a batch generated, and its wall seconds.

    Attributes:
        rows: One a row.
        first_token_s: From the first token fed after the eviction to the first token chosen.
        tpot_s: Mean seconds of each later step; None where there was none.
    """

    rows: list[Decoded]
    first_token_s: float
    tpot_s: float | None


def fed_at_most(max_new_tokens: int) -> int:
    """The most tokens of an answer that are fed: all but the last."""
    return max(max_new_tokens - 1, 0)


def greedy(logits: Tensor) -> Tensor:
    """The most likely token; the lowest id among equals."""
    return logits.argmax(dim=-1)


@torch.inference_mode()
def decode(
    loaded: LoadedModel,
    cache: StoreCache,
    chunks: Sequence[Sequence[int]],
    stop: Stop,
    choose: Choose = greedy,
) -> Decoding:
    """Feed each row's chunk in one pass, then generate until every row has stopped.

    A row that has stopped leaves the batch and the cache; `choose` still gets its last logits.

    Args:
        loaded: The model, switched to store attention.
        cache: Stores over the context, with as many rows as there are chunks and nothing fed yet.
        chunks: Token ids fed after the context, one list a row, none empty.
        stop: When a row ends.
        choose: How the next tokens are picked.
    """
    n_fed = int(cache.n_seen.max()) + max(map(len, chunks)) + fed_at_most(stop.max_new_tokens)
    with rotating_for(loaded.model, cache.n_sequence, n_fed):
        return _decode(loaded, cache, chunks, stop, choose)


def _decode(
    loaded: LoadedModel, cache: StoreCache, chunks: Sequence[Sequence[int]], stop: Stop, choose: Choose
) -> Decoding:
    rows = [Decoded() for _ in chunks]
    started = now(loaded.device)
    logits = _last_logits(loaded, cache, _padded(chunks), torch.tensor([len(chunk) for chunk in chunks]))
    tokens = choose(logits)
    first_token_s = now(loaded.device) - started
    running = _add_tokens(loaded, rows, tokens, stop, list(range(len(rows))))
    fed, steps = list(range(len(rows))), 0
    while running:
        if len(running) < len(fed):
            cache.keep_rows(torch.tensor([place for place, row in enumerate(fed) if row in running]))
            fed = running
        ones = torch.ones(len(fed), dtype=torch.int64)
        logits[fed] = _last_logits(loaded, cache, tokens[fed].cpu().unsqueeze(-1), ones)
        tokens = choose(logits)
        steps += 1
        running = _add_tokens(loaded, rows, tokens, stop, running)
    elapsed = now(loaded.device) - started
    _write_texts(loaded, rows, stop)
    return Decoding(rows, first_token_s, (elapsed - first_token_s) / steps if steps else None)


def _padded(chunks: Sequence[Sequence[int]]) -> Tensor:
    """int64 [B, Q], padded on the right with a token that no row counts."""
    width = max(len(chunk) for chunk in chunks)
    return torch.tensor([[*chunk, *[0] * (width - len(chunk))] for chunk in chunks])


def _last_logits(loaded: LoadedModel, cache: StoreCache, ids: Tensor, lengths: Tensor) -> Tensor:
    """Logits float32 [B, vocabulary] after each row's last real token."""
    columns, index = torch.unique((lengths - 1).clamp_min(0), return_inverse=True)
    logits = feed(loaded, cache, ids, lengths, columns)
    rows = logits[torch.arange(len(index), device=logits.device), index.to(logits.device)].float()
    check_finite(rows)
    return rows


def _add_tokens(
    loaded: LoadedModel, rows: Sequence[Decoded], tokens: Tensor, stop: Stop, running: Sequence[int]
) -> list[int]:
    """Add each running row's token; the rows that have not stopped."""
    ids = tokens.tolist()
    return [row for row in running if _add(loaded, rows[row], ids[row], stop)]


def _add(loaded: LoadedModel, row: Decoded, token: int, stop: Stop) -> bool:
    """Add a token to a row; whether the row continues."""
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


def _write_texts(loaded: LoadedModel, rows: Sequence[Decoded], stop: Stop) -> None:
    for row in rows:
        row.text = stop.text(loaded.tokenizer, row.ids)
        row.events = stop.events(loaded.tokenizer, row.ids)
