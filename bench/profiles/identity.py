"""The identity of a profile, that is everything that determines it, and notes on how it was made."""

from collections.abc import Sequence
from typing import Any

from ... import __version__
from ..calibration.calibrate import CALIBRATION_VERSION, KEPT_SHARE, MAX_NEW_TOKENS, TEMPERATURE
from ..calibration.documents import Document
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from ..record.environment import package_versions
from ..record.hashing import content_hash
from .file import profile_hash
from .owner import ProfileOwner


def plugin_arguments(plugin: Plugin) -> dict[str, Any]:
    """A plugin's arguments, an inner plugin's by its name, arguments and code; without the path of a profile."""
    inner = {
        name: {"name": held.name, "arguments": plugin_arguments(held), "code": plugin_code(held)}
        for name, held in plugin.inner.items()
    }
    arguments = {**plugin.arguments, **inner}
    return {name: value for name, value in arguments.items() if not (plugin.is_fitted and name == "profile")}


def profile_identity(
    owner: ProfileOwner, loaded: LoadedModel, documents: Sequence[Document], seed: int
) -> dict[str, Any]:
    """Everything that determines a profile, available before it is made. Facts that do not apply are left out."""
    facts = plugin_identity(owner) | {
        "model_revision": loaded.revision,
        "chat_template": template_hash(loaded),
        "documents": [document.record for document in documents],
        "seed": seed,
        "temperature": TEMPERATURE,
        "max_new_tokens": MAX_NEW_TOKENS,
        "calibration_version": CALIBRATION_VERSION,
    }
    if owner.plugin.calibration.protected:
        facts |= {"sink": owner.protection.sink, "window": owner.protection.window}
    if loaded.shape.kept_whole:
        facts |= {"evicted_layers": list(loaded.shape.evicted)}
    if owner.scorer is not None and (options := loaded.scored_logits(owner.scorer.instance.reads)):
        facts |= {"scored_logits": list(options)}
    # float32 is left out, as it was before the dtype was recorded.
    return facts if loaded.dtype == "float32" else facts | {"dtype": loaded.dtype}


def plugin_identity(owner: ProfileOwner) -> dict[str, Any]:
    """The plugins that determine a profile: its owner, the scorer that the fit reads, and their own profiles."""
    plugin, scorer = owner.plugin, owner.scorer
    facts: dict[str, Any] = {"arguments": plugin_arguments(plugin) if plugin.calibration.arguments else {}}
    if plugin.description.kind == "allocator":
        facts |= {"allocator_code": plugin_code(plugin)}
    else:
        facts |= {"role": plugin.description.kind, "code": plugin_code(plugin)}
    if scorer is not None:
        facts |= {
            "scorer": scorer.name,
            "scorer_arguments": plugin_arguments(scorer),
            "scorer_code": plugin_code(scorer),
        }
        if scorer.instance.reads.budget:
            facts |= {"scorer_kept_share": KEPT_SHARE}
    if owner.bases:
        facts |= {"profiles": {name: profile_hash(one) for name, one in sorted(owner.bases.items())}}
    return facts


def template_hash(loaded: LoadedModel) -> str:
    """Hash of the chat template that the calibration's questions are rendered with."""
    return content_hash(loaded.tokenizer.chat_template)[:12]


def plugin_code(plugin: Plugin) -> str | None:
    """Distribution, version and source hash of a plugin; None for built-in ones, which `CALIBRATION_VERSION` covers."""
    description = plugin.description
    return (
        None
        if description.distribution == "lukv-bench"
        else " ".join(filter(None, (description.distribution, description.version, description.code)))
    )


def circumstances(loaded: LoadedModel) -> dict[str, Any]:
    """Notes on how a profile was made, which are not part of its identity."""
    return {
        "model": loaded.title,
        "dtype": loaded.dtype,
        "device": loaded.device.type,
        "version": __version__,
        "packages": package_versions(),
    }
