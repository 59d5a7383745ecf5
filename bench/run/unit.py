"""A unit of work and its answers: what passes between the driver of a run and its workers. Both can be pickled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from ...scorers.base import Profile
from ..engine.decode import StopReason
from ..engine.fidelity import Fidelity
from ..engine.stop import Stop
from ..methods.events import Event
from ..methods.kept_evidence import KeptEvidence, Span
from ..methods.method import Method


@dataclass(frozen=True)
class UnitConfiguration:
    """A configuration that a unit is answered for.

    Attributes:
        id: Returned with the answer; the worker does not read it.
        method: Allocator, scorer, budget and protection.
        profile_hashes: The hash of each profile that its plugins need, by the path of the plugin.
    """

    id: str
    method: Method
    profile_hashes: Mapping[str, str] = field(default_factory=dict)

    def bound(self, profiles: Mapping[str, Profile]) -> Self:
        """A copy whose plugins are bound to their profiles, given by hash."""
        own = {path: profiles[digest] for path, digest in self.profile_hashes.items()}
        return replace(self, method=self.method.with_profiles(own))


@dataclass(frozen=True)
class Question:
    """Another sample on the context of a unit. The attributes are those of `Unit`."""

    sample_id: str
    question: tuple[int, ...]
    n_sequence: int
    stop: Stop
    reference: tuple[int, ...] = ()
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Unit:
    """One sample, or several on one context, and the configurations that answer them: they share one prefill of the
    context, but for those that evict block by block. Each configuration evicts once for all samples.

    Attributes:
        sample_id: Returned with each answer; the worker does not read it.
        context: Token ids fed before the eviction, at least one.
        question: Token ids fed after it, at least one.
        n_sequence: Tokens of context, question and answer that may be fed.
        stop: When an answer ends.
        seed: For scorers and allocators that draw at random.
        configurations: At least one.
        reference: Token ids of a right answer, no more than may be generated; empty without one.
        evidence: The tokens of `context` that the answer stands in.
        more: The other samples on the context. Its rotation is the same for their lengths.
        answered: (sample, configuration) of answers that are there already.
    """

    sample_id: str
    context: tuple[int, ...]
    question: tuple[int, ...]
    n_sequence: int
    stop: Stop
    seed: int
    configurations: tuple[UnitConfiguration, ...]
    reference: tuple[int, ...] = ()
    evidence: tuple[Span, ...] = ()
    more: tuple[Question, ...] = ()
    answered: frozenset[tuple[str, str]] = frozenset()

    @property
    def n_longest(self) -> int:
        """Tokens that may be fed for the longest of its samples."""
        return max([self.n_sequence, *(other.n_sequence for other in self.more)])

    def apart(self) -> list["Unit"]:
        """A unit for each sample that lacks an answer, with the configurations that it lacks one of."""
        if not self.more:
            return [self] if self.configurations else []
        first = Question(self.sample_id, self.question, self.n_sequence, self.stop, self.reference, self.evidence)
        units = []
        for one in (first, *self.more):
            left = tuple(each for each in self.configurations if (one.sample_id, each.id) not in self.answered)
            if left:
                units.append(
                    replace(
                        self,
                        sample_id=one.sample_id,
                        question=one.question,
                        n_sequence=one.n_sequence,
                        stop=one.stop,
                        reference=one.reference,
                        evidence=one.evidence,
                        configurations=left,
                        more=(),
                    )
                )
        return units

    def without(self, answer: "UnitAnswer") -> "Unit":
        """The unit that is left once an answer is there."""
        if not self.more:
            left = tuple(one for one in self.configurations if one.id != answer.configuration_id)
            return replace(self, configurations=left)
        return replace(self, answered=self.answered | {(answer.sample_id, answer.configuration_id)})


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Wall seconds of one answer. In a batch and with drafts only `prefill_s` is measured; the rest is None.

    Attributes:
        prefill_s: The model's forward pass over the context, without scoring and eviction.
        evict_s: Scoring, allocation, selection and compaction.
        ttft_s: From the first context token fed to the first answer token chosen.
        tpot_s: Mean of each later token.
    """

    prefill_s: float | None = None
    evict_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class UnitAnswer:
    """One configuration's answer to a unit's sample: either a text or an error.

    Attributes:
        configuration_id: Of the `UnitConfiguration`.
        sample_id: Of the `Unit`.
        text: None where the answer failed.
        error: One line; None where there is a text.
        trace: Traceback of the plugin that raised; "" if none did.
        n_steps: Forward passes of decoding it token by token.
        n_passes: Forward passes that it took.
        stop_reason: Why generation ended.
        kv_tokens_full: Slots of the full cache of the context over all KV heads of the layers that are evicted.
        kv_tokens_kept: Slots of it that were kept.
        kv_bytes_full: Bytes of the full cache of the context, sliding windows among them.
        kv_bytes_kept: Bytes of the slots that were kept, without spare room, and of sliding windows.
        events: Events of the method and of the decoding.
        keep_counts: Per layer that is evicted the slots kept in each KV head.
        kept_hash: A hash of the positions kept in every head.
        fidelity: How its cache differs from the full cache; None where that was not measured.
        evidence: What was kept of the unit's evidence; None where it has none.
    """

    configuration_id: str
    sample_id: str
    text: str | None = None
    error: str | None = None
    trace: str = ""
    n_context_tokens: int | None = None
    n_question_tokens: int | None = None
    n_generated_tokens: int | None = None
    n_steps: int = 0
    n_passes: int = 0
    stop_reason: StopReason | None = None
    kv_tokens_full: int | None = None
    kv_tokens_kept: int | None = None
    kv_bytes_full: int | None = None
    kv_bytes_kept: int | None = None
    events: Sequence[Event] = ()
    seconds: Seconds = Seconds()
    keep_counts: tuple[tuple[int, ...], ...] | None = None
    kept_hash: str | None = None
    fidelity: Fidelity | None = None
    evidence: KeptEvidence | None = None

    @classmethod
    def failure(cls, configuration: UnitConfiguration, unit: Unit, error: str, trace: str = "") -> Self:
        """The answer of a configuration that failed on a unit."""
        return cls(configuration_id=configuration.id, sample_id=unit.sample_id, error=error, trace=trace)
