"""Run the calibration: every document read once, its questions answered as a batch."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import UserError
from ...scorers.base import CalibrationDocument, Protection, Scorer
from ..engine.decode import decode, fed_at_most
from ..engine.evict import share
from ..engine.prefill import Context, prefill
from ..engine.prompt import Prompt, render, split
from ..engine.ready import refuse_sliding_window
from ..engine.stop import Stop
from ..errors import PluginError
from ..models.load import LoadedModel
from .documents import Document
from .oracle import Oracle

TEMPERATURE = 0.7
MAX_NEW_TOKENS = 64
"""As LU-KV's authors calibrate: sampled answers of at most 64 tokens, so 63 recorded steps."""

KEPT_SHARE = 0.2
"""Share of a document's tokens that a scorer which reads the budget is told will be kept: the default budget's."""

CALIBRATION_VERSION = 2
"""Raised by hand when the same documents may give another profile."""

Report = Callable[[str, int, int], None]
"""Called with (what is going on, steps done, steps in all)."""


@dataclass(frozen=True)
class Target:
    """A scorer to calibrate for, and what it protects."""

    scorer: Scorer
    protection: Protection


def calibrate(
    loaded: LoadedModel,
    targets: Mapping[str, Target],
    documents: Sequence[Document],
    seed: int,
    report: Report,
) -> dict[str, tuple[CalibrationDocument, ...]]:
    """What the model did with each document, for several scorers in one pass.

    Raises:
        UserError: a document is too long for the model, or too short for what is protected.
        PluginError: a scorer failed.
    """
    prompts = [_prompts(loaded, document) for document in documents]
    for document, asked in zip(documents, prompts, strict=True):
        _check(loaded, document, asked, targets)
    seen: dict[str, list[CalibrationDocument]] = {name: [] for name in targets}
    for number, (document, asked) in enumerate(zip(documents, prompts, strict=True)):

        def step(done: int, number: int = number, name: str = document.name) -> None:
            report(f"calibrating on {name}", number * MAX_NEW_TOKENS + done, len(documents) * MAX_NEW_TOKENS)

        for name, result in _document(loaded, targets, document, asked, seed, step).items():
            seen[name].append(result)
    return {name: tuple(results) for name, results in seen.items()}


def _prompts(loaded: LoadedModel, document: Document) -> list[Prompt]:
    """The document as context and each question behind it, in the chat form of a run."""
    return [
        split(loaded.tokenizer, render(loaded.tokenizer, f"{document.text}\n\n{question}"), document.text)
        for question in document.questions
    ]


def _check(loaded: LoadedModel, document: Document, prompts: list[Prompt], targets: Mapping[str, Target]) -> None:
    longest = max(len(prompt.context) + len(prompt.question) for prompt in prompts) + MAX_NEW_TOKENS
    if longest > loaded.shape.max_positions:
        raise UserError(
            f"the calibration document {document.name} takes {longest} tokens, and {loaded.name} has "
            f"{loaded.shape.max_positions} positions; give a shorter one: profile --text F --questions F."
        )
    refuse_sliding_window(loaded, longest)
    n_context = len(prompts[0].context)
    for target in targets.values():
        if n_context <= target.protection.sink + target.protection.window + 100:
            raise UserError(
                f"the calibration document {document.name} has {n_context} tokens, too few to rank beside the "
                f"{target.protection.sink + target.protection.window} protected ones (sink + window); give one of some "
                "thousand tokens, or a smaller --sink and --window."
            )


def _document(
    loaded: LoadedModel,
    targets: Mapping[str, Target],
    document: Document,
    prompts: Sequence[Prompt],
    seed: int,
    step: Callable[[int], None],
) -> dict[str, CalibrationDocument]:
    step(0)
    oracle = Oracle()
    scorers = {name: target.scorer for name, target in targets.items()}
    ids = prompts[0].context
    kept = dict.fromkeys(scorers, max(1, int(KEPT_SHARE * len(ids))))
    longest = max(prompt.n_tokens for prompt in prompts) + fed_at_most(MAX_NEW_TOKENS)
    context = prefill(loaded, ids, scorers, [oracle.see_context], n_kept=kept, seed=seed, n_sequence=longest)
    _refuse_failures(context)
    oracle.begin(len(prompts), loaded.shape.n_kv_heads)
    cache = share(context, len(prompts), None, room=128, watch=oracle.see_step)
    sample = Sampler([f"{seed}/{document.sha256}/{number}" for number in range(len(prompts))], step)
    decode(loaded, cache, [prompt.question for prompt in prompts], Stop(MAX_NEW_TOKENS, loaded.eos), sample)
    importance = _answered(document, oracle.importance)
    return {
        name: CalibrationDocument(
            scores=context.table(name)[:, 0].cpu(),
            importance=importance,
            protected=target.protection.mask(context.n_tokens),
        )
        for name, target in targets.items()
    }


def _answered(document: Document, importance: Tensor) -> Tensor:
    """The questions that were answered: an answer that ends with its first token records nothing, and a table of
    zeros would make a profile of ties.

    Raises:
        UserError: fewer than half of them were.
    """
    answered = importance[importance.flatten(1).amax(dim=1) > 0]
    if 2 * len(answered) < len(importance):
        raise UserError(
            f"the model answered {len(answered)} of {len(importance)} questions about {document.name} with more than "
            "one token, too few for a profile; give texts and questions it does answer: profile --text F --questions F."
        )
    return answered


def _refuse_failures(context: Context) -> None:
    for name, error in context.failures.items():
        raise PluginError(f"the scorer {name} failed on a calibration document: {error}") from error


class Sampler:
    """Draws each row's next token at the calibration's temperature, from a stream of the row's own."""

    def __init__(self, streams: Sequence[str], step: Callable[[int], None]) -> None:
        self._generators = [torch.Generator().manual_seed(_seed(stream)) for stream in streams]
        self._step = step
        self._steps = 0

    def __call__(self, logits: Tensor) -> Tensor:
        """int64 [B] from logits [B, vocabulary]."""
        self._steps += 1
        self._step(self._steps)
        chances = torch.softmax(logits.cpu() / TEMPERATURE, dim=-1)
        drawn = [torch.multinomial(row, 1, generator=own) for row, own in zip(chances, self._generators, strict=True)]
        return torch.cat(drawn).to(logits.device)


def _seed(stream: str) -> int:
    return int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big") >> 1
