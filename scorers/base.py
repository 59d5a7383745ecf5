"""The scorer contract, and types that scorers and allocators share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from ..kernels.backend import Backend
from ..kernels.form import Form


@dataclass(frozen=True)
class Protection:
    """Tokens that every allocator must keep, charged inside its budget.

    Attributes:
        sink: How many of the first tokens.
        window: How many of the last tokens.
    """

    sink: int
    window: int

    def mask(self, n_tokens: int) -> Tensor:
        """Bool [T], True where a token is protected."""
        mask = torch.zeros(n_tokens, dtype=torch.bool)
        mask[: self.sink] = True
        mask[max(n_tokens - self.window, 0) :] = True
        return mask


@dataclass(frozen=True)
class Reads:
    """What a scorer reads of a layer besides keys and values; nothing else is computed or kept for it.

    Attributes:
        queries: How many of the last queries; "all" for every one.
        hidden_states: Whether the layer's attention input is needed.
        queries_before_rotary: Whether all queries are needed as they are before the rotary embedding.
        rotary: Whether the rotary embedding of other positions is needed.
        output_weight: Whether the output projection is needed.
        budget: Whether the ranking depends on how many tokens will be kept.
        module: Whether the attention module itself is needed, by a scorer that calls transformers.
        future: Whether the future is needed: what question and reference answer will attend to. Such a scorer is an
            oracle, which no cache could use, and is ranked nowhere. It is called after the prefill, so that it can
            read the output projection and the budget besides, and nothing else.
        all_heads: Whether the scorer compares the heads of a layer, so that it must see all of them at once.
        replay: Whether a replay of the context is needed: what it is attended to while the model repeats it. Such a
            scorer is called after the prefill as well, with the same restrictions.
    """

    queries: int | Literal["all"] = 0
    hidden_states: bool = False
    queries_before_rotary: bool = False
    rotary: bool = False
    output_weight: bool = False
    budget: bool = False
    module: bool = False
    future: bool = False
    replay: bool = False
    all_heads: bool = False

    def __or__(self, other: "Reads") -> "Reads":
        """The union of what two scorers read; each gets at least as many queries as it declared."""
        both = (self.queries, other.queries)
        return Reads(
            queries="all" if "all" in both else max(int(n) for n in both),
            hidden_states=self.hidden_states or other.hidden_states,
            queries_before_rotary=self.queries_before_rotary or other.queries_before_rotary,
            rotary=self.rotary or other.rotary,
            output_weight=self.output_weight or other.output_weight,
            budget=self.budget or other.budget,
            module=self.module or other.module,
            future=self.future or other.future,
            replay=self.replay or other.replay,
            all_heads=self.all_heads or other.all_heads,
        )


Rotary = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From positions int64 [n] to (cos, sin), each float32 [n, rotated dims]; the first dims of a head are rotated, each
dim i of their first half together with dim i of their second half."""


@dataclass(frozen=True)
class Profile:
    """An offline artefact that a plugin fitted for one model (and, for LU-KV, one scorer).

    Attributes:
        kind: Name of the method that fitted it.
        arrays: The fitted tensors by name.
        made: Everything that determines it: model revision, scorer, texts, seed, code.
        notes: How it was made, for readers: device, dtype, package versions.
    """

    kind: str
    arrays: Mapping[str, Tensor]
    made: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerView:
    """One layer of the context at the end of its prefill. It exists only during that layer's forward.

    What a scorer has not declared in its `Reads` is None. Everything belongs to the model and is read-only: a scorer
    that writes into a tensor or replaces a part of the module is not called again in the run and has no table, and the
    context is read again without it. To write, make a copy (`keys.clone()`).

    Attributes:
        layer: Index of the layer.
        keys: [B, H, T, D], after the rotary embedding.
        values: [B, H, T, D].
        queries: [B, HQ, n, D], the last n queries after the rotary embedding.
        hidden_states: [B, T, hidden], the input of the attention module.
        queries_before_rotary: [B, HQ, T, D], after the query norm if the model has one.
        rotary: The model's rotary embedding of any positions.
        output_weight: [HQ, D, hidden]; row h maps the output of query head h into the residual stream.
        n_kept: Tokens that the budget keeps in each head on average.
        module: The attention module.
        kwargs: The keyword arguments of its forward, `hidden_states` and `position_embeddings` among them.
        seed: For scorers that draw at random; determined by the run's seed and the context's tokens.
        scaling: The model's factor on q . k; None = 1 / sqrt(D). Set without a declaration.
        softcap: The model's bound of its logits, softcap * tanh(logits / softcap); None = there is none. Set without a
            declaration.
        sinks: [HQ], the model's own logits that take their share of each softmax and have no token; None = there are
            none. Set without a declaration.
        profile: The scorer's own profile if it has a `fit`, with its arrays on the device of the keys.
        backend: How ops of `kernels` that a scorer calls are computed: `keydiff(layer.keys, backend=layer.backend)`.
            Set without a declaration.
        replay: float32 [B, H, T], for each token the largest attention that it gets from any row, over the group, while
            the model repeats the context (KVzip, arXiv 2505.23416); 0 for the chat template before it.
        future: float32 [B, H, T], for each token the largest attention that it gets from the question and the reference
            answer, over the query heads of its group, times ||W_O v||.
    """

    layer: int
    keys: Tensor
    values: Tensor
    queries: Tensor | None = None
    hidden_states: Tensor | None = None
    queries_before_rotary: Tensor | None = None
    rotary: Rotary | None = None
    output_weight: Tensor | None = None
    n_kept: int | None = None
    module: Any = None
    kwargs: Mapping[str, Any] | None = None
    seed: int = 0
    scaling: float | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    profile: Profile | None = None
    backend: Backend = "torch"
    replay: Tensor | None = None
    future: Tensor | None = None

    @property
    def scale(self) -> float:
        """Factor on q . k."""
        return self.keys.shape[-1] ** -0.5 if self.scaling is None else self.scaling

    @property
    def form(self) -> Form:
        """What the model's attention does to q . k in this layer, for ops of `kernels` and the weights it gives."""
        return Form(self.scale, softcap=self.softcap, sinks=self.sinks)


class Scorer(Protocol):
    """Ranks the cached tokens inside each KV head.

    A scorer is a frozen dataclass of its hyper-parameters. Its first docstring line is what `list` shows. A field
    annotated `Scorer` is another scorer, which the harness builds from its text: `name:field=(inner:key=value)`.

    Attributes:
        source: Where the method was published.
    """

    source: ClassVar[str]

    @property
    def reads(self) -> Reads:
        """What it reads; a class variable, or a property if it depends on the hyper-parameters."""

    @property
    def protection(self) -> Protection:
        """Its default sink and window; a class variable or a property."""

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], higher = keep; finite."""


@dataclass(frozen=True)
class CalibrationReads:
    """What a plugin's `fit` reads of the calibration; nothing else is computed or kept for it.

    Attributes:
        scores: Whether the table of the scorer that the allocator runs with is needed; allocators only.
        importance: Whether the oracle importance is needed. Without it and `utility` no answer is generated.
        keys: Whether the cached keys are needed.
        values: Whether the cached values are needed.
        hidden_states: Whether the inputs of the attention layers are needed.
        replay: Whether a replay of the document is needed.
        utility: Whether the utility of each token to three futures is needed. The model is differentiated for it.
        protected: Whether it matters which tokens the method protects. Without it one profile serves every sink and
            window, and no token of a document is protected.
        arguments: Whether the plugin's own arguments matter. Without it one profile serves all of them.
    """

    scores: bool = False
    importance: bool = False
    keys: bool = False
    values: bool = False
    hidden_states: bool = False
    replay: bool = False
    utility: bool = False
    protected: bool = True
    arguments: bool = True

    def __or__(self, other: "CalibrationReads") -> "CalibrationReads":
        """The union of what two plugins read."""
        return CalibrationReads(
            scores=self.scores or other.scores,
            importance=self.importance or other.importance,
            keys=self.keys or other.keys,
            values=self.values or other.values,
            hidden_states=self.hidden_states or other.hidden_states,
            replay=self.replay or other.replay,
            utility=self.utility or other.utility,
            protected=self.protected or other.protected,
            arguments=self.arguments or other.arguments,
        )


@dataclass(frozen=True)
class CalibrationDocument:
    """The records of one calibration document under full attention; read-only, as `LayerView`.

    What a plugin has not declared in its `CalibrationReads` is None.

    Attributes:
        scores: float32 [L, H, T], the scorer's table of the document.
        importance: float32 [questions, L, H, T], the oracle importance of each cached token while the model
            answered each question (LU-KV, arXiv 2602.08585, section 3).
        protected: bool [T].
        keys: [L, H, T, D] in the model's dtype, after the rotary embedding.
        values: [L, H, T, D] in the model's dtype.
        hidden_states: [L, T, hidden] in the model's dtype, the inputs of the attention layers.
        replay: float32 [L, H, T], as `LayerView.replay`.
        utility: float32 [3, L, H, T], what each token is worth while the model repeats the document, answers questions
            about it, and reads its last tokens (NaN for those): sqrt(I x G), with the oracle importance I over the rows
            that predict, and G = max over rows of |sum over the group of A_j g . (o - v_j)|, g the gradient of the sum
            of margins with respect to the head's output o. For the repetition I and G are each the largest over the
            parts that are repeated; for the answers it is the mean over the questions that were answered.
    """

    scores: Tensor | None
    importance: Tensor | None
    protected: Tensor
    keys: Tensor | None = None
    values: Tensor | None = None
    hidden_states: Tensor | None = None
    replay: Tensor | None = None
    utility: Tensor | None = None


class Fitted(Protocol):
    """A scorer or an allocator that needs a profile. The harness calibrates the model, caches the profile and passes it
    to a scorer in `LayerView.profile`, to an allocator in `AllocationRequest.profile`.

    Attributes:
        profile: A profile file chosen by the user; "" = the one the harness finds or makes.
    """

    profile: str

    def fit(self, documents: tuple[CalibrationDocument, ...]) -> Mapping[str, Tensor]:
        """The arrays of the profile, fitted on calibration documents."""


class Calibrated(Protocol):
    """A fitted plugin that declares what its `fit` reads. By default an allocator's `fit` gets scores and importance, a
    scorer's importance.
    """

    @property
    def calibration(self) -> CalibrationReads:
        """A class variable, or a property if it depends on the hyper-parameters."""


class Verifying(Protocol):
    """A plugin that checks the arrays of its profile, both those of its own `fit` and those of a file."""

    def check_profile(self, arrays: Mapping[str, Tensor], n_layers: int, n_kv_heads: int) -> None:
        """Check the arrays for a model of this shape; all their numbers are finite.

        Raises:
            ValueError: they are not a profile of this plugin.
        """
