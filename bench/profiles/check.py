"""Whether a profile that the user named was made for the model, scorer and allocator at hand."""

from pathlib import Path

from ... import UserError
from ...scorers.base import Profile
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from .identity import fit_arguments, plugin_arguments, plugin_code, template_hash


def check_profile(profile: Profile, path: Path, allocator: Plugin, scorer: Plugin, loaded: LoadedModel) -> None:
    """Refuse a profile that was made for something else, or does not say what it was made for.

    Raises:
        UserError: with what it was made for.
    """
    made = profile.made
    if profile.kind != allocator.name:
        raise UserError(f"{path} is a profile of {profile.kind}, not of {allocator.name}.")
    if made.get("model_revision") != loaded.revision:
        raise UserError(
            f"{path} was made for another model ({profile.notes.get('model')}, revision "
            f"{str(made.get('model_revision'))[:12]}), not for {loaded.name} ({loaded.revision[:12]}); make one with "
            f"`lukv-bench profile --model {loaded.name} --scorer {scorer.label} --out FILE`."
        )
    here = {"scorer": scorer.name, "scorer_arguments": plugin_arguments(scorer), "scorer_code": plugin_code(scorer)}
    if any(made.get(name) != value for name, value in here.items()):
        there = " ".join(str(made[name]) for name in here if made.get(name))
        raise UserError(
            f"{path} was made for the scorer {there or '(none is named)'}, not for {scorer.label} "
            f"{plugin_code(scorer) or ''}; make one with `lukv-bench profile --scorer {scorer.label} --out FILE`."
        )
    for what, name, value in (
        (f"other arguments of {allocator.name}", "arguments", fit_arguments(allocator)),
        (f"other code of {allocator.name}", "allocator_code", plugin_code(allocator)),
        ("another chat template", "chat_template", template_hash(loaded)),
    ):
        if made.get(name) != value:
            raise UserError(
                f"{path} was made with {what} ({_said(made.get(name))}, here {_said(value)}); leave out profile= and "
                "the run makes one of its own."
            )


def _said(value: object) -> str:
    return "none" if value is None or value == {} else str(value)
