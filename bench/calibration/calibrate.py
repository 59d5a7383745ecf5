"""Runs the calibration: each document is read once, and its questions are answered as a batch."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import or_

import torch
from torch import Tensor

from ... import UserError
from ...scorers.base import CalibrationDocument, CalibrationReads, Protection, Scorer
from ..engine.context import Context
from ..engine.decode import decode, fed_at_most
from ..engine.evict import share
from ..engine.importance import SeenLayers
from ..engine.margins import refuse_gradients
from ..engine.prefill import prefill
from ..engine.prompt import Prompt
from ..engine.ready import refuse_sliding_window
from ..engine.replay import read_replay
from ..engine.stop import Stop
from ..errors import PluginError, reason_of
from ..models.load import LoadedModel
from ..models.shape import Unsupported
from .documents import Document
from .hidden import HiddenStates
from .oracle import Oracle
from .partial import Partial
from .steps import Report, Steps
from .utility import utilities
from .window import prompts_of

TEMPERATURE = 0.7
MAX_NEW_TOKENS = 64
"""As LU-KV's authors calibrate: sampled answers of at most 64 tokens, so 63 recorded steps."""

KEPT_SHARE = 0.2
"""Share of a document's tokens that scorers which read the budget assume to be kept: that of the default budget."""

CALIBRATION_VERSION = 2
"""Raised by hand when the same documents may give another profile."""


@dataclass(frozen=True)
class Target:
    """A plugin to calibrate for.

    Attributes:
        scorer: The scorer whose table its `fit` reads; None if it reads none.
        protection: The tokens that the plugin's methods protect.
        reads: What its `fit` reads.
    """

    scorer: Scorer | None
    protection: Protection
    reads: CalibrationReads


def calibrate(
    loaded: LoadedModel,
    targets: Mapping[str, Target],
    documents: Sequence[Document],
    seed: int,
    report: Report,
    partial: Partial | None = None,
) -> dict[str, tuple[CalibrationDocument, ...]]:
    """The records of each document, for several plugins in one pass.

    A document that `partial` holds is not read again; records of the others are saved there. Only what some target
    reads is computed.

    Raises:
        UserError: a document is too long for the model, or too short for the protected tokens.
        PluginError: a scorer failed.
    """
    if loaded.backend != "torch":  # a profile does not depend on the run that needs it
        loaded = replace(loaded, backend="torch")
    prompts = [prompts_of(loaded, document) for document in documents]
    for document, questions in zip(documents, prompts, strict=True):
        _check(loaded, document, questions, targets)
    has_more = _reads(targets).utility
    results: dict[str, list[CalibrationDocument]] = {name: [] for name in targets}
    reads = {name: target.reads for name, target in targets.items()}
    for number, (document, questions) in enumerate(zip(documents, prompts, strict=True)):
        recorded = None if partial is None else partial.load(document, reads)
        if recorded is None:
            step = Steps(document, questions, number, len(documents), MAX_NEW_TOKENS, has_more, report)
            recorded = _document(loaded, targets, document, questions, seed, step)
            if partial is not None:
                partial.save(document, recorded)
        for name, result in recorded.items():
            results[name].append(result)
    return {name: tuple(of_target) for name, of_target in results.items()}


def _reads(targets: Mapping[str, Target]) -> CalibrationReads:
    return reduce(or_, (target.reads for target in targets.values()))


def _check(loaded: LoadedModel, document: Document, prompts: list[Prompt], targets: Mapping[str, Target]) -> None:
    longest = max(len(prompt.context) + len(prompt.question) for prompt in prompts) + MAX_NEW_TOKENS
    if longest > loaded.shape.max_positions:
        raise UserError(
            f"the calibration document {document.name} takes {longest} tokens, and {loaded.name} has "
            f"{loaded.shape.max_positions} positions; give a shorter one: profile --text F --questions F."
        )
    refuse_sliding_window(loaded, longest)
    if _reads(targets).utility:
        _check_gradients(loaded)
    n_context = len(prompts[0].context)
    for target in targets.values():
        if n_context <= target.protection.sink + target.protection.window + 100:
            raise UserError(
                f"the calibration document {document.name} has {n_context} tokens, too few to rank beside the "
                f"{target.protection.sink + target.protection.window} protected ones (sink + window); give one of some "
                "thousand tokens, or a smaller --sink and --window."
            )


def _check_gradients(loaded: LoadedModel) -> None:
    try:
        refuse_gradients(loaded)
    except Unsupported as error:
        raise UserError(
            f"{loaded.name} cannot be calibrated for a scorer that reads utilities: {error}; use another scorer."
        ) from error


def _document(
    loaded: LoadedModel,
    targets: Mapping[str, Target],
    document: Document,
    prompts: Sequence[Prompt],
    seed: int,
    step: Steps,
) -> dict[str, CalibrationDocument]:
    step(0)
    reads = _reads(targets)
    oracle = Oracle() if reads.importance or reads.utility else None
    scorers = {name: target.scorer for name, target in targets.items() if target.scorer is not None}
    ids = prompts[0].context
    kept = dict.fromkeys(scorers, max(1, int(KEPT_SHARE * len(ids))))
    longest = max(prompt.n_tokens for prompt in prompts) + fed_at_most(MAX_NEW_TOKENS)
    observers = [] if oracle is None else [oracle.see_context]
    inputs = HiddenStates()
    with inputs.watching(loaded) if reads.hidden_states else nullcontext():
        context = prefill(loaded, ids, scorers, observers, n_kept=kept, seed=seed, n_sequence=longest)
    _refuse_failures(context)
    importance = utility = None
    if oracle is not None:
        answers = _answers(loaded, oracle, context, document, prompts, seed, step)
        importance = _answered(document, oracle.importance)
        if reads.utility:
            utility = _utility(loaded, context, oracle.seen, document, prompts, answers, step)
    keys, values = _stacked(context.keys, reads.keys), _stacked(context.values, reads.values)
    hidden_states = inputs.stacked() if reads.hidden_states else None
    replay = _replay(loaded, context, ids, document) if reads.replay else None
    return {
        name: CalibrationDocument(
            scores=context.table(name)[:, 0].cpu() if target.reads.scores else None,
            importance=importance if target.reads.importance else None,
            protected=target.protection.mask(context.n_tokens),
            keys=keys if target.reads.keys else None,
            values=values if target.reads.values else None,
            hidden_states=hidden_states if target.reads.hidden_states else None,
            replay=replay if target.reads.replay else None,
            utility=utility if target.reads.utility else None,
        )
        for name, target in targets.items()
    }


def _answers(
    loaded: LoadedModel,
    oracle: Oracle,
    context: Context,
    document: Document,
    prompts: Sequence[Prompt],
    seed: int,
    step: Steps,
) -> list[list[int]]:
    """The model's answers to all questions, generated as one batch; one by one where layers have recurrent states,
    since questions differ in length. The oracle sees each step."""
    oracle.begin(len(prompts), loaded.shape.n_kv_heads)
    n, answers = 1 if loaded.shape.stateful else len(prompts), list[list[int]]()
    for first in range(0, len(prompts), n):
        together = range(first, first + n)
        cache = share(context, n, room=128, watch=partial(oracle.see_step, first=first))
        on_average = partial(_step_on_average, step, first, n, len(prompts))
        sample = Sampler([f"{seed}/{document.sha256}/{number}" for number in together], on_average)
        questions = [prompts[number].question for number in together]
        decoding = decode(loaded, cache, questions, Stop(MAX_NEW_TOKENS, loaded.eos), sample)
        answers += [row.ids for row in decoding.rows]
    return answers


def _utility(
    loaded: LoadedModel,
    context: Context,
    seen: SeenLayers,
    document: Document,
    prompts: Sequence[Prompt],
    answers: Sequence[Sequence[int]],
    step: Steps,
) -> Tensor:
    """float32 [3, L, H, T], see `utilities`.

    Raises:
        UserError: the model cannot be differentiated, its memory does not hold that, or numbers are not finite.
    """
    try:
        return utilities(loaded, context, prompts[0].context, seen, prompts, answers, step.of_future)
    except (Unsupported, ArithmeticError, RuntimeError) as error:  # torch's own, of memory too, are RuntimeErrors
        raise UserError(
            f"what the tokens of {document.name} are worth to {loaded.name} could not be measured: {reason_of(error)}; "
            "give shorter texts (profile --text F --questions F), or another --device or --dtype."
        ) from error


def _replay(loaded: LoadedModel, context: Context, ids: Sequence[int], document: Document) -> Tensor:
    """float32 [L, H, T], see `read_replay`.

    Raises:
        UserError: the model's attention is not finite.
    """
    try:
        return torch.stack([each[0].cpu() for each in read_replay(loaded, context, ids)])
    except ArithmeticError as error:
        raise UserError(f"a replay of the calibration document {document.name} failed: {error}") from error


def _step_on_average(step: Callable[[int], None], n_before: int, n: int, n_questions: int, done: int) -> None:
    """Report tokens of each answer on average: all of those before, `done` of the `n` at hand, none of those after."""
    step(max((n_before * MAX_NEW_TOKENS + n * done) // n_questions, 1))


def _stacked(layers: Sequence[Tensor], is_read: bool) -> Tensor | None:
    """[L, H, T, D] on the CPU from a [1, H, T, D] per layer; None unless it is read."""
    return torch.stack([layer[0].cpu() for layer in layers]) if is_read else None


def _answered(document: Document, importance: Tensor) -> Tensor:
    """The importances of questions that were answered. An answer of one token records nothing, and its table of zeros
    would rank no token.

    Raises:
        UserError: fewer than half of the questions were answered.
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
        raise PluginError(f"the scorer {name} failed on a calibration document: {reason_of(error)}") from error


class Sampler:
    """Draws each row's next token at the calibration's temperature, from a random stream for each row."""

    def __init__(self, streams: Sequence[str], step: Callable[[int], None]) -> None:
        self._generators = [torch.Generator().manual_seed(_seed(stream)) for stream in streams]
        self._step = step
        self._steps = 0

    def __call__(self, logits: Tensor, rows: Tensor) -> Tensor:
        """int64 [n] from logits [n, vocabulary] and the row of each."""
        self._steps += 1
        self._step(self._steps)
        chances = torch.softmax(logits.cpu() / TEMPERATURE, dim=-1)
        own = [self._generators[row] for row in rows.tolist()]
        drawn = [torch.multinomial(row, 1, generator=generator) for row, generator in zip(chances, own, strict=True)]
        return torch.cat(drawn).to(logits.device)


def _seed(stream: str) -> int:
    return int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big") >> 1
