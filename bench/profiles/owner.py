"""The owner of a profile, with what its fit depends on besides the model and the texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...scorers.base import Profile, Protection
from ..calibration.calibrate import Target
from ..plugins.bind import with_profiles
from ..plugins.plugin import Plugin


@dataclass(frozen=True)
class ProfileOwner:
    """A fitted plugin of a method.

    Attributes:
        plugin: Whose `fit` makes the profile.
        scorer: The scorer of the method where the fit reads its scores; None elsewhere.
        protection: The tokens that the method protects.
        path: Of the plugin in its method: "scorer", "allocator.of".
        profiles: By path those that were made before it, of the whole method.
    """

    plugin: Plugin
    scorer: Plugin | None
    protection: Protection
    path: str
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        plugin: Plugin,
        scorer: Plugin | None,
        protection: Protection,
        path: str = "allocator",
        profiles: Mapping[str, Profile] | None = None,
    ) -> "ProfileOwner":
        """The plugin as an owner, without the scorer where its fit does not read the scores."""
        return cls(plugin, scorer if plugin.calibration.scores else None, protection, path, profiles or {})

    @property
    def instance(self) -> Any:
        """The plugin's instance, the plugins that it holds with their profiles."""
        return with_profiles(self.plugin, self.path, self.profiles)

    @property
    def target(self) -> Target:
        """What is calibrated for it."""
        scorer = None if self.scorer is None else with_profiles(self.scorer, "scorer", self.profiles)
        return Target(scorer, self.protection, self.plugin.calibration)

    @property
    def bases(self) -> dict[str, Profile]:
        """The profiles that its own depends on: those of held plugins by ".field", those of the scorer by "scorer".

        The names do not depend on where in its method the plugin is.
        """
        held = {path.removeprefix(self.path): one for path, one in self.profiles.items() if _is_below(path, self.path)}
        of_scorer = {path: one for path, one in self.profiles.items() if path.split(".")[0] == "scorer"}
        return held | (of_scorer if self.scorer is not None else {})

    @property
    def label(self) -> str:
        """The plugin as one would type it, and the scorer where the profile depends on it."""
        return self.plugin.label + ("" if self.scorer is None else f" x {self.scorer.label}")


def _is_below(path: str, other: str) -> bool:
    return path.startswith(f"{other}.")
