"""What tells one profile from another, and what a reader wants to know of it besides."""

from collections.abc import Sequence
from typing import Any

from ... import __version__
from ...scorers.base import Protection
from ..calibration.calibrate import CALIBRATION_VERSION, KEPT_SHARE, MAX_NEW_TOKENS, TEMPERATURE
from ..calibration.documents import Document
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from ..record.environment import package_versions
from ..record.hashing import content_hash


def fit_arguments(allocator: Plugin) -> dict[str, Any]:
    """The arguments that a fit depends on: all but the profile's own name."""
    return {name: value for name, value in plugin_arguments(allocator).items() if name != "profile"}


def plugin_arguments(plugin: Plugin) -> dict[str, Any]:
    """A plugin's arguments, an inner plugin's by its name, arguments and code."""
    inner = {
        name: {"name": held.name, "arguments": plugin_arguments(held), "code": plugin_code(held)}
        for name, held in plugin.inner.items()
    }
    return {**plugin.arguments, **inner}


def profile_identity(
    allocator: Plugin,
    scorer: Plugin,
    protection: Protection,
    loaded: LoadedModel,
    documents: Sequence[Document],
    seed: int,
) -> dict[str, Any]:
    """What tells one profile from another before it is made."""
    special: dict[str, Any] = {"scorer_kept_share": KEPT_SHARE} if scorer.instance.reads.budget else {}
    if loaded.dtype != "float32":  # float32 goes without saying: profiles from before the dtype was recorded stay valid
        special["dtype"] = loaded.dtype
    return special | {
        "model_revision": loaded.revision,
        "arguments": fit_arguments(allocator),
        "scorer": scorer.name,
        "scorer_arguments": plugin_arguments(scorer),
        "scorer_code": plugin_code(scorer),
        "allocator_code": plugin_code(allocator),
        "chat_template": template_hash(loaded),
        "sink": protection.sink,
        "window": protection.window,
        "documents": [document.record for document in documents],
        "seed": seed,
        "temperature": TEMPERATURE,
        "max_new_tokens": MAX_NEW_TOKENS,
        "calibration_version": CALIBRATION_VERSION,
    }


def template_hash(loaded: LoadedModel) -> str:
    """Of the chat template that the calibration's questions are rendered with."""
    return content_hash(loaded.tokenizer.chat_template)[:12]


def plugin_code(plugin: Plugin) -> str | None:
    """Whose code a plugin is; None for our own, which `CALIBRATION_VERSION` speaks for."""
    known = plugin.description
    return (
        None
        if known.distribution == "lukv-bench"
        else " ".join(filter(None, (known.distribution, known.version, known.code)))
    )


def circumstances(loaded: LoadedModel) -> dict[str, Any]:
    """What else a reader wants to know of how a profile was made."""
    return {
        "model": loaded.title,
        "dtype": loaded.dtype,
        "device": loaded.device.type,
        "version": __version__,
        "packages": package_versions(),
    }
