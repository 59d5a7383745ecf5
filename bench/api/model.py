"""A model, loaded once for any number of evictions and runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from ... import UserError
from ..reports.progress import Progress, ProgressOption, shown_progress
from .defaults import MODEL, SCHEDULE
from .evicted import EvictedContext, evict_context
from .messages import python_messages
from .single import check_progress, optional_number, optional_text, switch, text_of, whole_number
from .values import storable

if TYPE_CHECKING:
    from ..methods.method import Method
    from ..models.load import LoadedModel


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A model whose caches can be evicted, made by `load`.

    Attributes:
        loaded: The model, its tokenizer and its properties.
    """

    loaded: "LoadedModel"

    @property
    def name(self) -> str:
        """The name passed to `load`."""
        return self.loaded.name

    @property
    def revision(self) -> str:
        """The content hash of weights and tokenizer."""
        return self.loaded.revision

    @python_messages()
    def evict(
        self,
        context: str,
        *,
        allocator: str = "lukv",
        scorer: str = "keydiff",
        ratio: float | str | Decimal | None = None,
        keep_tokens: int | None = None,
        schedule: str = SCHEDULE,
        sink: int | None = None,
        window: int | None = None,
        seed: int = 0,
        room: int = 512,
        progress: ProgressOption = True,
    ) -> EvictedContext:
        """Read a text as the beginning of a user turn and evict its cache by a method.

        Args:
            context: The text; questions about it are asked of the result.
            allocator: "NAME" or "NAME:key=value,...".
            scorer: "NAME" or "NAME:key=value,...".
            ratio: Share of the context to prune, 0 <= ratio < 1; None = 0.8, unless `keep_tokens` is given.
            keep_tokens: Tokens to keep per head, on average, instead of a ratio.
            schedule: When it is evicted: "one-shot" = once, after all of it; "block:N" = after every N tokens.
            sink: First tokens never evicted; None = the scorer's.
            window: Last tokens never evicted; None = the scorer's.
            seed: For methods that draw at random.
            room: Tokens of question and answer to reserve memory for. More can be fed, unless the model's rotary
                embedding depends on the length: the context is then rotated for this many.
            progress: As in `load`. A missing profile is made first, which can take minutes.

        Raises:
            UserError: the context, the method or the budget cannot be served.
            PluginError: the scorer or the allocator failed.
        """
        text_of("context", context)
        check_progress(progress)
        seed, room = whole_number("seed", seed), whole_number("room", room)
        storable("seed", seed)
        if room < 0:
            raise UserError(f"room is the number of tokens of a question and its answer, at least 0, not {room}.")
        method = _method(allocator, scorer, ratio, keep_tokens, schedule, sink, window)
        if not context.strip():
            raise UserError("the context is empty; give a text.")
        with shown_progress(progress) as shown:
            return evict_context(self.loaded, method, context, seed, room, shown.report)

    def __repr__(self) -> str:
        shape = self.loaded.shape
        layers = f"{shape.n_layers} of {len(shape.layers)}" if shape.kept_whole else shape.n_layers
        return (
            f"<{self.loaded.title} ({self.revision[:8]}), {self.loaded.dtype} on {self.loaded.place}: "
            f"{layers} layers, {shape.n_kv_heads} KV heads, {shape.max_positions} positions>"
        )


def _method(
    allocator: str,
    scorer: str,
    ratio: float | str | Decimal | None,
    keep_tokens: int | None,
    schedule: str,
    sink: int | None,
    window: int | None,
) -> "Method":
    """The method that the arguments of `Model.evict` name. Raises UserError as it does."""
    from ..methods.budget import parse_budgets
    from ..methods.incremental import check_schedules
    from ..methods.method import build_methods
    from ..methods.oracles import refuse_oracles
    from ..methods.schedule import parse_schedule
    from ..plugins.names import split_specs

    n_kept = optional_number("keep_tokens", keep_tokens)
    budgets = parse_budgets([] if ratio is None else [str(ratio)], [] if n_kept is None else [n_kept])
    allocators = split_specs("allocator", [text_of("allocator", allocator)])
    scorers = split_specs("scorer", [text_of("scorer", scorer)])
    if len(allocators) > 1 or len(scorers) > 1:
        raise UserError("evict takes one allocator and one scorer; call it once for each.")
    sink, window = optional_number("sink", sink), optional_number("window", window)
    schedules = [parse_schedule(text_of("schedule", schedule))]
    (method,) = build_methods(allocators, scorers, budgets, sink, window, False, schedules)
    check_schedules([method])
    refuse_oracles([method])
    return method


@python_messages()
def load(
    model: str = MODEL,
    *,
    device: str | None = None,
    dtype: str | None = None,
    backend: str | None = None,
    thinking: bool = False,
    progress: ProgressOption = True,
) -> Model:
    """Load a model and check on a short text that attention over a store gives the same outputs as its own.

    Args:
        model: Alias, hub id or local folder.
        device: Such as "cpu" or "cuda:1"; "auto" = spread over all GPUs; None = CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; None = float32 on the CPU, else bfloat16.
        backend: Of the kernels: "torch", "triton", "triton-interpret"; None = Triton on a GPU that has it, else torch.
        thinking: Whether to enable thinking if the chat template has a switch for it; answers do not include thoughts.
        progress: True = a bar (lines, where stderr is no terminal), False = nothing, or a function called with
            (stage, steps done, steps in all).

    Raises:
        UserError: there is no such model or device, or the model is corrupt, unsupported or too large.
    """
    text_of("model", model)
    optional_text("device", device)
    optional_text("dtype", dtype)
    optional_text("backend", backend)
    switch("thinking", thinking)
    check_progress(progress)
    with shown_progress(progress) as shown:
        return Model(load_ready(model, device, dtype, backend, thinking, shown))


def load_ready(
    name: str, device: str | None, dtype: str | None, backend: str | None, thinking: bool, progress: Progress
) -> "LoadedModel":
    """Load a model, switched to store attention. Raises UserError as `load`."""
    from ..models.find import check_model_name, loading

    check_model_name(name)
    progress.report("loading torch and transformers", 0, 1)
    from ..engine.ready import ready_model
    from ..models.devices import resolve_backend, resolve_place
    from ..models.load import resolve_dtype

    place = resolve_place(device)
    kind, kernels = resolve_dtype(dtype, place), resolve_backend(backend, place)
    progress.report(loading(name), 0, 1)
    with _without_bars():
        return ready_model(name, place, kind, thinking, kernels)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Disable transformers' progress bars within the block."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


def use_model(
    model: str | Model,
    device: str | None,
    dtype: str | None,
    backend: str | None,
    thinking: bool,
    progress: Progress,
) -> "LoadedModel":
    """Load a model by name, or return the loaded one.

    Raises:
        UserError: it cannot be loaded, or settings are given for one that is loaded.
    """
    if isinstance(model, str):
        return load_ready(model, device, dtype, backend, thinking, progress)
    if thinking or not device is dtype is backend is None:
        raise UserError(f"{model.name} is loaded already; give --device, --dtype, --backend and --thinking to `load`.")
    return model.loaded
