"""Load a model from its folder, verified."""

import gc
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ... import UserError
from ...db.sizes import size
from ...kernels.backend import Backend
from ...scorers.base import Reads
from ..errors import first_line
from .aliases import ALIASES
from .convert import check_tokenizer
from .devices import Place
from .find import find_model, model_title
from .fitting import device_map, stored_bytes
from .layers import ModelShape
from .revision import model_revision, weight_files
from .settings import corrupt, model_settings, readable
from .shape import attention_modules, max_positions, read_shape
from .template import NO_THINKING, Thinking, settle_template
from .weights import Weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class PromptModel:
    """The parts of a model that determine its prompts: enough to make samples without its weights.

    Attributes:
        name: As the user typed it.
        path: The folder it was loaded from.
        tokenizer: Its fast tokenizer, chat template included.
        max_positions: Tokens that it can hold.
        thinking: Whether thinking is enabled, and its marks.
    """

    name: str
    path: Path
    tokenizer: Any
    max_positions: int
    thinking: Thinking = NO_THINKING

    @property
    def title(self) -> str:
        """Its name without the folders around it."""
        return model_title(self.name)


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model with its tokenizer and properties.

    Attributes:
        name: As the user typed it.
        path: The folder it was loaded from.
        revision: Its content hash.
        model: The transformers model in eval mode.
        tokenizer: Its fast tokenizer, with the chat template fixed (`template`).
        dtype: Its name, e.g. "float32".
        eos: Token ids that end an answer.
        thinking: Whether thinking is enabled, and its marks.
        template_record: How the chat template was fixed, as configurations record it.
        reach: The longest sequence in which every token of a layer that is evicted attends to all before it, set by
            `engine.ready`; chunks limit it, and sliding windows where every layer has one.
        backend: How the kernels are computed: scoring, selection, and the ragged stores.
        one_by_one: Whether tokens after a context are fed one by one, set by `engine.ready`: where several are fed at
            once, its recurrent layers lose their state.
        logit_options: `kernels.form.Form.options` of the layers that are evicted, set by `engine.ready`.
    """

    name: str
    path: Path
    revision: str
    model: Any
    tokenizer: Any
    shape: ModelShape
    dtype: str
    eos: frozenset[int]
    thinking: Thinking = NO_THINKING
    template_record: tuple[str, ...] = ()
    reach: int = sys.maxsize
    backend: Backend = "torch"
    one_by_one: bool = False
    logit_options: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its name without the folders around it."""
        return model_title(self.name)

    @property
    def device(self) -> torch.device:
        """The device of its inputs and logits."""
        return self.model.device  # type: ignore[no-any-return]  # transformers is untyped here

    @cached_property
    def device_of(self) -> dict[int, torch.device]:
        """By index of a layer that attends, the device where its part of a cache lives."""
        return {int(one.layer_idx): next(one.parameters()).device for one in self.attention_modules}

    @property
    def layer_devices(self) -> tuple[torch.device, ...]:
        """The device of each layer that is evicted."""
        return tuple(self.device_of[index] for index in self.shape.evicted)

    def scored_logits(self, reads: Reads) -> tuple[str, ...]:
        """Of its `logit_options` those that the ranking of a scorer with such reads may depend on."""
        return self.logit_options if reads.queries else ()

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices that its layers are on, in order."""
        return tuple(dict.fromkeys(self.device_of.values()))

    @property
    def place(self) -> str:
        """Its devices, as they are recorded: "cpu", "cuda:0, cuda:1"."""
        return ", ".join(map(str, self.devices))

    @property
    def prompts(self) -> PromptModel:
        """The parts that determine its prompts."""
        return PromptModel(self.name, self.path, self.tokenizer, self.shape.max_positions, self.thinking)

    @cached_property
    def weights(self) -> Weights:
        """A snapshot of its weights, taken on first access."""
        return Weights(self.model, self.path, DTYPES[self.dtype])

    def release_weights(self) -> None:
        """Give back the memory of its weights; nothing can be computed after that. What is known of it stays: its
        tokenizer, shape, devices and the sizes of its weights."""
        _ = self.device_of
        vars(self).pop("weights", None)
        self.model.to("meta")
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @property
    def attention_modules(self) -> list[Any]:
        """The attention module of each layer that attends, in order."""
        return attention_modules(self.model)


def resolve_dtype(name: str | None, place: Place) -> str:
    """The dtype's name; float32 on the CPU (bfloat16 is far slower there), bfloat16 elsewhere by default."""
    if name is None:
        return "float32" if place.type == "cpu" else "bfloat16"
    if name not in DTYPES:
        raise UserError(f"unknown dtype {name!r}; choose from {', '.join(DTYPES)}.")
    return name


def load_model(name: str, place: Place, dtype: str, thinking: bool = False, backend: Backend = "torch") -> LoadedModel:
    """Load and verify a model; its attention is still transformers' own (`engine.ready` switches it).

    Args:
        name: Alias, hub id or folder.
        place: Where it is put.
        dtype: A name of `DTYPES`.
        thinking: Whether to enable thinking if its chat template has a switch for it.
        backend: How the kernels are computed, one that `place` serves.

    Raises:
        UserError: the model is unknown, corrupt or unsupported, or its weights do not fit.
    """
    path = find_model(name)
    config, tokenizer, eos = model_settings(name, path)
    with readable(name, path):
        stored = stored_bytes(weight_files(path, config), DTYPES[dtype])
    modules = device_map(name, config, stored, DTYPES[dtype], place)
    revision = _verified(name, path, tokenizer, config, eos)
    settled = settle_template(tokenizer, thinking)
    with readable(name, path):
        model = _read_weights(path, config, dtype, modules)
    if isinstance(place, torch.device):
        _move(name, model, place, dtype)
    model.eval()
    shape = read_shape(name, model)
    return LoadedModel(
        name=name,
        path=path,
        revision=revision,
        model=model,
        tokenizer=tokenizer,
        shape=shape,
        dtype=dtype,
        eos=eos,
        thinking=settled.thinking,
        template_record=settled.record,
        backend=backend,
    )


def _move(name: str, model: Any, device: torch.device, dtype: str) -> None:
    """Move a model.

    Raises:
        UserError: its weights do not fit: memory is in pieces, or was taken in the meantime.
    """
    try:
        model.to(device)
    except RuntimeError as error:  # torch's own out-of-memory errors among them
        n_bytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())
        raise UserError(
            f"{name} cannot be moved to {device}: its weights alone take {size(n_bytes)} in {dtype}, and its cache "
            f"comes on top ({first_line(error).rstrip('.')}); use --dtype bfloat16, another --device or a smaller "
            "model."
        ) from error


def load_prompt_model(name: str, thinking: bool = False) -> PromptModel:
    """Load a model's tokenizer and settings alone.

    Raises:
        UserError: the model is unknown or unsupported.
    """
    path = find_model(name)
    config, tokenizer, _ = model_settings(name, path)
    if name in ALIASES:
        check_tokenizer(ALIASES[name], tokenizer)
    if (positions := max_positions(config)) is None:
        raise UserError(f"{name} ({config.model_type}) does not say how many tokens it can hold.")
    return PromptModel(name, path, tokenizer, positions, settle_template(tokenizer, thinking).thinking)


def _read_weights(path: Path, config: Any, dtype: str, modules: dict[str, int] | None) -> Any:
    from transformers import AutoModelForCausalLM

    loaded: Any = AutoModelForCausalLM.from_pretrained(
        path,
        config=config,
        dtype=DTYPES[dtype],
        device_map=modules,
        use_safetensors=True,
        output_loading_info=True,
        trust_remote_code=False,
    )
    model, info = loaded
    # transformers initialises missing weights at random and only logs it.
    wrong = {kind: sorted(map(str, names)) for kind, names in info.items() if names}
    if wrong:
        problems = "; ".join(f"{kind.replace('_', ' ')}: {', '.join(names[:3])}" for kind, names in wrong.items())
        raise ValueError(f"its weights are not those of its configuration; {problems}")
    return model


def _verified(name: str, path: Path, tokenizer: Any, config: Any, eos: frozenset[int]) -> str:
    with readable(name, path):
        revision = model_revision(path, tokenizer, config, eos)
    alias = ALIASES.get(name)
    if alias is not None:
        check_tokenizer(alias, tokenizer)
        if revision != alias.revision:
            raise corrupt(name, path, "their content is not the model's")
    return revision
