"""A model, loaded once for any number of evictions and runs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import UserError
from ..reports.progress import Progress, ProgressOption, shown_progress
from .messages import python_messages

if TYPE_CHECKING:
    from ..models.load import LoadedModel


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A model whose caches can be evicted, made by `load`.

    Attributes:
        loaded: The model, its tokenizer and what the harness knows of it.
    """

    loaded: "LoadedModel"

    @property
    def name(self) -> str:
        """As it was given to `load`."""
        return self.loaded.name

    @property
    def revision(self) -> str:
        """The content hash of weights and tokenizer."""
        return self.loaded.revision

    def __repr__(self) -> str:
        shape = self.loaded.shape
        return (
            f"<{self.loaded.title} ({self.revision[:8]}), {self.loaded.dtype} on {self.loaded.device}: "
            f"{shape.n_layers} layers, {shape.n_kv_heads} KV heads, {shape.max_positions} positions>"
        )


@python_messages()
def load(
    model: str = "smollm2-135m",
    *,
    device: str | None = None,
    dtype: str | None = None,
    thinking: bool = False,
    progress: ProgressOption = True,
) -> Model:
    """Load a model and check on a short text that our attention gives what its own gives.

    Args:
        model: Alias, hub id or local folder.
        device: Such as "cpu" or "cuda:1"; None = CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; None = float32 on the CPU, else bfloat16.
        thinking: Whether it thinks, where its chat template has a switch; answers are what follows the thoughts.
        progress: True = a bar (lines, where stderr is no terminal), False = nothing, or a function called with
            (stage, steps done, steps in all).

    Raises:
        UserError: there is no such model or device, or the model is corrupt or unsupported.
    """
    with shown_progress(progress) as shown:
        return Model(load_ready(model, device, dtype, thinking, shown))


def load_ready(name: str, device: str | None, dtype: str | None, thinking: bool, progress: Progress) -> "LoadedModel":
    """Load a model, switched to store attention. Raises UserError as `load`."""
    from ..models.find import check_model_name, loading

    check_model_name(name)
    progress.report("loading torch and transformers", 0, 1)
    from ..engine.ready import ready_model
    from ..models.load import resolve_device, resolve_dtype

    place = resolve_device(device)
    kind = resolve_dtype(dtype, place)
    progress.report(loading(name), 0, 1)
    return ready_model(name, place, kind, thinking)


def use_model(
    model: str | Model, device: str | None, dtype: str | None, thinking: bool, progress: Progress
) -> "LoadedModel":
    """The model by its name, or the one that is loaded.

    Raises:
        UserError: it cannot be loaded, or settings are given for one that is loaded.
    """
    if isinstance(model, str):
        return load_ready(model, device, dtype, thinking, progress)
    if device is not None or dtype is not None or thinking:
        raise UserError(f"{model.name} is loaded already; give --device, --dtype and --thinking to `load`.")
    return model.loaded
