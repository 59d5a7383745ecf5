"""The samples of one task in a run. Each is made, rendered, cut in two and fitted into the window on demand."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ... import UserError
from ...tasks.load import LoadedTask
from ...tasks.scoring import reference_text
from ..engine.decode import fed_at_most
from ..engine.prompt import Prompt, chat_form, continuation_ids
from ..engine.ready import refuse_sliding_window
from ..engine.rotary import switch_events
from ..engine.stop import Stop, stop_strings
from ..methods.events import Event
from ..methods.kept_evidence import Span
from ..models.load import LoadedModel
from ..record.configuration import RunProtocol, sample_id
from ..record.hashing import content_hash
from .cut import cut_document
from .evidence import evidence_tokens
from .files import SampleFile
from .rendering import RenderedDocument, render_document

MOST_TOGETHER = 100
"""Samples that share one reading of their context: as many as are claimed at once."""


@dataclass(frozen=True)
class Sample:
    """A document ready to be fed.

    Attributes:
        context: Token ids fed before the eviction; under aware including the question except its last token.
        question: Token ids fed after it.
        n_sequence: Tokens of prompt and answer that may be fed.
        stop: When an answer ends.
        reference: Token ids of a right answer, the first that may be generated; empty without one.
        events: Recorded with each of its answers.
        evidence: The tokens of `context` that the answer stands in.
    """

    id: str
    rendered: RenderedDocument
    context: tuple[int, ...]
    question: tuple[int, ...]
    n_sequence: int
    stop: Stop
    reference: tuple[int, ...] = ()
    events: tuple[Event, ...] = ()
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Fitting:
    """How prompts that are too long for the model are handled.

    Attributes:
        truncation: As configurations record it: "refuse", "middle" at the model's positions, "middle-N" at N tokens.
        max_length: Tokens of prompt and answer together; None = the model's positions.
    """

    truncation: str = "refuse"
    max_length: int | None = None

    def fitted(self, prompt: Prompt, rendered: RenderedDocument, task: LoadedTask, loaded: LoadedModel) -> Prompt:
        """The prompt within the window.

        Raises:
            UserError: it is too long and may not be cut, or cutting its context is not enough.
        """
        positions = loaded.shape.max_positions
        window = self.max_length or positions
        room = window - task.info.max_new_tokens
        if prompt.n_tokens <= room:
            return prompt
        limit, wider = f"{loaded.name} has {window}", "use another model"
        if window < positions:
            limit, wider = f"--max-length is {window}", f"raise --max-length ({loaded.name} has {positions})"
        problem = (
            f"sample {rendered.ordinal} of {task.info.name} takes {prompt.n_tokens + task.info.max_new_tokens} tokens "
            f"with its answer, and {limit}"
        )
        if self.truncation == "refuse":
            cure = "use a smaller --length" if task.info.needs_length else "leave out --no-truncate to cut its context"
            if not task.info.needs_length and task.info.truncation == "refuse":
                cure = "shorten its text"
            raise UserError(f"{problem}; {cure}, or {wider}.")
        if room - len(prompt.question) < 2:
            raise UserError(f"{problem}, too few for its question alone; {wider}.")
        return prompt.within(room)


@dataclass(frozen=True)
class SampleSet:
    """The samples of a task at a length under a seed. Samples are made on demand and only the first is kept.

    Attributes:
        exported: The samples that prompts are compared with; None where samples are made.
    """

    task: LoadedTask
    loaded: LoadedModel
    protocol: RunProtocol
    fitting: Fitting
    exported: SampleFile | None = None

    def __len__(self) -> int:
        return len(self.task.documents)

    @cached_property
    def first(self) -> Sample:
        """Sample 0. It is made before the first prefill, to find faults that all samples share."""
        return self._make(0)

    def sample(self, ordinal: int) -> Sample:
        """Make a sample.

        Raises:
            UserError: it cannot be made from the data, or does not fit.
        """
        return self.first if ordinal == 0 else self._make(ordinal)

    @property
    def without_references(self) -> str | None:
        """Why no sample has the tokens of a reference answer; None where they have. One of a few may lack them."""
        if self.task.info.needs_full:
            return "without references the full cache's own answer stands for them"
        if self.first.stop.thinking.on:
            return "while thoughts are on, the reference is not what the model says first"
        return None

    @property
    def contexts(self) -> Sequence[int] | None:
        """For each sample the number of its context, where some are read for several samples; None = each is read for
        one. Under aware the question is a part of it."""
        return None if self.protocol == "aware" else self.task.contexts

    def n_prefills(self, ordinals: Collection[int]) -> int:
        """Contexts to be read for these samples; up to `MOST_TOGETHER` that ask about the same one share it."""
        contexts = self.contexts
        if contexts is None:
            return len(ordinals)
        return sum(-(-n // MOST_TOGETHER) for n in Counter(contexts[ordinal] for ordinal in ordinals).values())

    def stand_in_id(self, ordinal: int) -> str:
        """An id for a sample that cannot be made and therefore has no prompt."""
        task = self.task
        return content_hash(
            ["not made", task.info.name, task.info.version, task.data_revision, task.length, task.seed, ordinal]
        )

    def _make(self, ordinal: int) -> Sample:
        info, loaded = self.task.info, self.loaded
        rendered = render_document(self.task, ordinal, loaded.tokenizer)
        if self.exported is not None:
            self.exported.check_prompt(rendered, loaded.prompts)
        prompt = self.fitting.fitted(cut_document(self.task, rendered, loaded.prompts), rendered, self.task, loaded)
        refuse_sliding_window(loaded, prompt.n_tokens + info.max_new_tokens)
        evidence, lost = evidence_tokens(loaded.tokenizer, rendered, info.chat, prompt)
        fed = prompt.aware() if self.protocol == "aware" else prompt
        n_sequence = fed.n_tokens + fed_at_most(int(rendered.generation["max_gen_toks"]))
        cut: Event = {"event": "truncated_middle", "n_cut": prompt.n_cut, "n_kept": len(prompt.context)}
        stop = _stop(self.task, rendered, loaded)
        return Sample(
            id=sample_id(info.name, info.version, rendered.prompt, rendered.generation, ordinal),
            rendered=rendered,
            context=fed.context,
            question=fed.question,
            n_sequence=n_sequence,
            stop=stop,
            reference=_reference(rendered, loaded.tokenizer, stop),
            events=(*([cut] if prompt.n_cut else []), *lost, *switch_events(loaded.model, fed.n_tokens, n_sequence)),
            evidence=evidence,
        )


def _reference(rendered: RenderedDocument, tokenizer: Any, stop: Stop) -> tuple[int, ...]:
    """A right answer's tokens. None where thoughts come before it, since their likelihood would be measured."""
    text = reference_text(rendered.document)
    if not text or stop.thinking.on:
        return ()
    return continuation_ids(tokenizer, rendered.prompt, text)[: stop.max_new_tokens]


def _stop(task: LoadedTask, rendered: RenderedDocument, loaded: LoadedModel) -> Stop:
    """The model's EOS set, the task's stop strings, its length, its first line."""
    generation: Mapping[str, Any] = rendered.generation
    is_chat = chat_form(loaded.tokenizer, task.info.chat) == "chat"
    return Stop(
        max_new_tokens=int(generation["max_gen_toks"]),
        eos=loaded.eos,
        strings=stop_strings(generation.get("until"), loaded.tokenizer),
        first_line=task.info.first_line,
        thinking=loaded.thinking.behind(rendered.prompt, is_chat),
    )
