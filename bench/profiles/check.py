"""Checks that a profile named by the user was made for the model and the plugins of the run."""

from pathlib import Path

from ... import UserError
from ...scorers.base import Profile
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from .identity import plugin_code, plugin_identity, template_hash
from .owner import ProfileOwner

SCORER = ("scorer", "scorer_arguments", "scorer_code")


def check_profile(profile: Profile, path: Path, owner: ProfileOwner, loaded: LoadedModel) -> None:
    """Refuse a profile that was made for something else, or does not record what it was made for.

    Raises:
        UserError: it was made for something else, which is named.
    """
    origin, plugin = profile.made, owner.plugin
    kind = plugin.description.kind
    if (profile.kind, origin.get("role", "allocator")) != (plugin.name, kind):
        raise UserError(f"{path} is a profile of {profile.kind}, not of the {kind} {plugin.name}.")
    if origin.get("model_revision") != loaded.revision:
        raise UserError(
            f"{path} was made for another model ({profile.notes.get('model')}, revision "
            f"{str(origin.get('model_revision'))[:12]}), not for {loaded.name} ({loaded.revision[:12]}); make one with "
            f"`lukv-bench profile --model {loaded.name}{_options(owner)} --out FILE`."
        )
    expected = plugin_identity(owner)
    if owner.scorer is not None and any(origin.get(name) != expected[name] for name in SCORER):
        other = " ".join(str(origin[name]) for name in SCORER if origin.get(name))
        raise UserError(
            f"{path} was made for the scorer {other or '(none is named)'}, not for {owner.scorer.label} "
            f"{plugin_code(owner.scorer) or ''}; make one with `lukv-bench profile{_options(owner)} --out FILE`."
        )
    code = "allocator_code" if kind == "allocator" else "code"
    for what, name, value in (
        (f"other arguments of {plugin.name}", "arguments", expected["arguments"]),
        (f"other code of {plugin.name}", code, expected[code]),
        ("another chat template", "chat_template", template_hash(loaded)),
        ("other attention weights", "scored_logits", [*_scored_logits(owner, loaded)] or None),
        ("other profiles of the plugins that it depends on", "profiles", expected.get("profiles")),
    ):
        if origin.get(name) != value:
            raise UserError(
                f"{path} was made with {what} ({_text(origin.get(name))}, here {_text(value)}); leave out profile= and "
                "the run makes one of its own."
            )


def _scored_logits(owner: ProfileOwner, loaded: LoadedModel) -> tuple[str, ...]:
    return () if owner.scorer is None else loaded.scored_logits(owner.scorer.instance.reads)


def _options(owner: ProfileOwner) -> str:
    """The options of `profile` that make one for this owner."""
    if owner.plugin.description.kind == "scorer":
        return f" --scorer {_name(owner.plugin)}"
    allocator = "" if owner.plugin.name == "lukv" else f" --allocator {_name(owner.plugin)}"
    return allocator + ("" if owner.scorer is None else f" --scorer {owner.scorer.label}")


def _name(plugin: Plugin) -> str:
    """The plugin as written on the command line, without its profile= argument."""
    return plugin.label_without("profile")


def _text(value: object) -> str:
    return "none" if value is None or value == {} else str(value)
