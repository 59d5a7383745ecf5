"""What each cached token is worth to three futures of a document: its repetition, answers about it, and its own end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ..engine.context import Context
from ..engine.importance import SeenLayers, importance_of
from ..engine.margins import FedLayer, margin_gradients
from ..engine.prompt import Prompt
from ..engine.replay import parts_of
from ..models.load import LoadedModel

N_REPEATED = 512
"""Tokens that are repeated at a time: what is held for the gradients grows with it."""

N_CONTINUED = 96
"""Last tokens of a document, which are taken as the future of all before them."""

Step = Callable[[int, int], None]
"""Called before each future with its number, from 1, and how many there are."""


@dataclass(frozen=True)
class Future:
    """A text after the first tokens of a context.

    Attributes:
        n_context: The tokens that it follows.
        ids: The text, which is fed but for its last token.
        n_targets: How many of its last tokens count.
    """

    n_context: int
    ids: tuple[int, ...]
    n_targets: int


def utilities(
    loaded: LoadedModel,
    context: Context,
    ids: Sequence[int],
    seen: SeenLayers,
    prompts: Sequence[Prompt],
    answers: Sequence[Sequence[int]],
    step: Step,
) -> Tensor:
    """float32 [3, L, H, T], see `CalibrationDocument.utility`.

    Args:
        loaded: The model, switched to store attention.
        context: Its full cache, held in memory; it is not changed.
        ids: Its token ids.
        seen: The layers as the context was read.
        prompts: The questions about it.
        answers: Token ids of the model's own answers to them; those of one token say nothing, and do not count.
        step: Progress.

    Raises:
        Unsupported: the model cannot be differentiated, see `margin_gradients`.
        ArithmeticError: its logits are not finite.
    """
    terms = [layer.value_term for layer in seen.layers]
    repetition, questions = list(_repetition(loaded, ids)), list(_answers(len(ids), prompts, answers))
    last = _continuation(ids)
    n_steps = len(repetition) + len(questions) + 1
    steps = iter(range(1, n_steps + 1))

    def worth(future: Future) -> Tensor:
        step(next(steps), n_steps)
        fed = margin_gradients(loaded, context, future.n_context, future.ids, future.n_targets)
        pairs = zip(fed, _cut(terms, future), strict=True)
        return torch.stack([_worth(*pair, future.n_targets).cpu() for pair in pairs])

    repeated = _utility(reduce(torch.maximum, map(worth, repetition)))
    answered = torch.stack([_utility(worth(future)) for future in questions]).mean(dim=0)
    continued = torch.full_like(answered, torch.nan)
    continued[..., : last.n_context] = _utility(worth(last))
    return torch.stack([repeated, answered, continued])


def _repetition(loaded: LoadedModel, ids: Sequence[int]) -> Iterator[Future]:
    for part in parts_of(loaded.tokenizer, ids, N_REPEATED):
        yield Future(len(ids), part.fed, part.end - part.start)


def _answers(n_context: int, prompts: Sequence[Prompt], answers: Sequence[Sequence[int]]) -> Iterator[Future]:
    for prompt, answer in zip(prompts, answers, strict=True):
        if len(answer) > 1:
            yield Future(n_context, (*prompt.question, *answer), len(answer))


def _continuation(ids: Sequence[int]) -> Future:
    n_targets = min(N_CONTINUED, len(ids) // 4)
    n_context = len(ids) - n_targets - 1
    return Future(n_context, tuple(ids[n_context:]), n_targets)


def _cut(terms: Iterable[Tensor], future: Future) -> Iterator[Tensor]:
    return (term[:, : future.n_context] for term in terms)


def _worth(fed: FedLayer, value_term: Tensor, n_targets: int) -> Tensor:
    """float32 [2, H, n]: a layer's importance, and the first-order change of all margins without the token."""
    weights = fed.weights[..., : value_term.shape[-1]]
    grouped = (*weights.shape[:3], -1)
    gradient, output = fed.gradient.float().view(grouped), fed.output.float().view(grouped)
    values = fed.values[:, None, : value_term.shape[-1]].float()
    change = (gradient * output).sum(dim=-1, keepdim=True) - gradient @ values.mT
    by_gradient = (weights * change).sum(dim=1).abs().amax(dim=1)
    importance = importance_of(weights[None, :, :, -n_targets:], value_term)[0]
    return torch.stack([importance, by_gradient])


def _utility(worth: Tensor) -> Tensor:
    """float32 [L, H, n] of [L, 2, H, n]: the geometric mean of both."""
    return worth.sqrt().prod(dim=1)
