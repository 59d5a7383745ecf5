"""The owner of a profile, with everything its fit depends on besides the model and the texts."""

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
        plugin: The plugin whose `fit` makes the profile.
        scorer: The scorer of the method if the fit reads its scores, else None.
        protection: The tokens that the method protects; none if the fit does not read which.
        path: Of the plugin in its method: "scorer", "allocator.of".
        profiles: The method's profiles that were made before it, by path.
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
        """The plugin as an owner, of what its fit reads: the method's scorer and protected tokens may be dropped."""
        reads = plugin.calibration
        protected = protection if reads.protected else Protection(sink=0, window=0)
        return cls(plugin, scorer if reads.scores else None, protected, path, profiles or {})

    @property
    def instance(self) -> Any:
        """The plugin's instance, with inner plugins bound to their profiles."""
        return with_profiles(self.plugin, self.path, self.profiles)

    @property
    def target(self) -> Target:
        """Its target of the calibration."""
        scorer = None if self.scorer is None else with_profiles(self.scorer, "scorer", self.profiles)
        return Target(scorer, self.protection, self.plugin.calibration)

    @property
    def bases(self) -> dict[str, Profile]:
        """The profiles that its own depends on: those of inner plugins by ".field", those of the scorer by "scorer".

        The names do not depend on the plugin's place in its method.
        """
        held = {path.removeprefix(self.path): one for path, one in self.profiles.items() if _is_below(path, self.path)}
        of_scorer = {path: one for path, one in self.profiles.items() if path.split(".")[0] == "scorer"}
        return held | (of_scorer if self.scorer is not None else {})

    @property
    def label(self) -> str:
        """The plugin as written on the command line, with the scorer if the profile depends on it."""
        return self.plugin.label + ("" if self.scorer is None else f" x {self.scorer.label}")


def _is_below(path: str, other: str) -> bool:
    return path.startswith(f"{other}.")
