"""Configurations and cells: everything that is ranked, under ids that are hashes of their content."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from ... import RESULTS_VERSION, __version__
from .hashing import content_hash

RunProtocol = Literal["agnostic", "aware"]
CODE_VERSION = f"{__version__}+results.{RESULTS_VERSION}"


class _Content(BaseModel):
    """Content of an id. Fields in `ADDED`, which later versions added, are left out when None, so that the ids of
    earlier results stay the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ADDED: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_added(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if name not in self.ADDED or value is not None}


class PluginRecord(_Content):
    """A plugin as configured.

    Attributes:
        arguments: All hyper-parameters, defaults resolved; a profile's path is left out, since its hash counts.
        code: Hash of a third-party plugin's source; None for built-in ones, which the code version covers.
    """

    ADDED = frozenset({"code"})

    name: str
    arguments: Mapping[str, Any]
    distribution: str
    version: str
    code: str | None = None


class Configuration(_Content):
    """Everything that determines an answer except the task. Same content, same id, same result up to rounding.

    Attributes:
        attention: "ragged-" and the backend of the kernels that score, select, compact and attend.
        chat_form: "chat" with a hash of the template and what was fixed in it (a date, thinking); "plain" if the model
            has no template or the task forbids it; "plain-without-eos" if the tokenizer would append EOS to the prompt.
        truncation: How prompts that are too long are handled: "refuse", "middle" = the middle of the context is cut,
            or "middle-N" = it is cut beyond N tokens of prompt and answer.
        scorer: None for the full cache, which needs none.
        ratio: Share pruned, as an exact decimal; None with keep_tokens and for the full cache.
        schedule: When eviction happens: "one-shot" = once, after the whole context; "block:N" = after every N tokens.
        seed: Of the samples, and of methods that draw at random.
        profile_hash: Of the allocator's profile, or else of its outermost inner plugin with one; None if there is none.
        profiles: The hashes of all other profiles by the path of their plugin: "scorer", "allocator.of"; None if there
            are none.
        evicted_layers: The layers that are evicted; None if all are.
        scored_logits: What the model's attention does to its logits ("sinks", "softcap"), which a scorer that reads
            queries knows; None if it does nothing or the scorer reads none.
        oracle: Which of its plugins read the future ("allocator", "scorer"): it is an oracle; None if none does.
        rotation: "whole-sequence" if the model's rotary embedding depends on the length of the sequence, else None.
    """

    ADDED = frozenset({"rotation", "profiles", "evicted_layers", "scored_logits", "oracle"})

    model_revision: str
    dtype: str
    attention: str = "ragged-torch"
    protocol: RunProtocol
    chat_form: str
    truncation: str = "refuse"
    allocator: PluginRecord
    scorer: PluginRecord | None
    ratio: str | None
    keep_tokens: int | None
    sink: int
    window: int
    schedule: str = "one-shot"
    profile_hash: str | None
    seed: int
    code_version: str = CODE_VERSION
    rotation: Literal["whole-sequence"] | None = None
    profiles: Mapping[str, str] | None = None
    evicted_layers: tuple[int, ...] | None = None
    scored_logits: tuple[str, ...] | None = None
    oracle: tuple[Literal["allocator", "scorer"], ...] | None = None

    @property
    def id(self) -> str:
        """Content hash."""
        return content_hash(self.model_dump(mode="json"))


def recorded_hashes(hashes: Mapping[str, str]) -> tuple[str | None, dict[str, str] | None]:
    """(`profile_hash`, `profiles`) of a configuration, from the hash of every profile by path."""
    own = next((path for path in reversed(list(hashes)) if path.split(".")[0] == "allocator"), None)
    others = {path: value for path, value in hashes.items() if path != own}
    return (None if own is None else hashes[own]), others or None


def cell_id(configuration_id: str, task: str, task_version: str, data_revision: str, length: int | None) -> str:
    """Content hash of a configuration on a task at a length. The number of samples is not part of it."""
    return content_hash([configuration_id, task, task_version, data_revision, length])


def sample_id(task: str, task_version: str, prompt: str, generation: Mapping[str, Any], ordinal: int) -> str:
    """Content hash of one task document with its rendered prompt and generation arguments."""
    return content_hash([task, task_version, content_hash(prompt), content_hash(generation), ordinal])
