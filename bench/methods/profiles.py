"""Finds or makes the profiles of methods, each once, in the order of their dependencies."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...scorers.base import Profile, Protection
from ..calibration.steps import Report
from ..errors import PluginError
from ..models.load import LoadedModel
from ..profiles.file import profile_hash
from ..profiles.obtain import find_profile, obtain_profile
from ..profiles.owner import ProfileOwner
from .method import Method

_Key = tuple[str, str, Protection]
"""Kind and label of a plugin, the label with the scorer where the fit reads its scores, and what is protected."""


class NotMade(PluginError):
    """A profile that is only looked for is not there: it is made when it is needed."""


@dataclass(frozen=True)
class MethodProfiles:
    """Profiles on one model, shared by several methods.

    Attributes:
        make: Whether a missing one is made, which takes minutes; otherwise its method fails with `NotMade`.
    """

    loaded: LoadedModel
    report: Report
    make: bool = True
    _results: dict[_Key, Profile | PluginError] = field(default_factory=dict)

    def obtain(self, method: Method) -> dict[str, Profile]:
        """The method's profiles by path, found or made; empty where none of its plugins has one.

        The scorer's come first: an allocator's fit may rank with it.

        Raises:
            UserError: a file that the user named is not a profile for its plugin.
            PluginError: a fit failed, or the scorer whose scores it reads; also when called again.
        """
        profiles: dict[str, Profile] = {}
        for path in method.owners():
            profiles[path] = self._obtain(_owner(method, path, profiles))
        method.with_profiles(profiles)  # fails here where a plugin cannot hold another that is bound
        return profiles

    def owner(self, method: Method, path: str) -> ProfileOwner:
        """The plugin at a path of the method, whose profile is to be made; those that it depends on are obtained.

        Raises:
            UserError: as `obtain`.
            PluginError: as `obtain`.
        """
        profiles: dict[str, Profile] = {}
        for place in itertools.takewhile(lambda place: place != path, method.owners()):
            profiles[place] = self._obtain(_owner(method, place, profiles))
        return _owner(method, path, profiles)

    def _obtain(self, owner: ProfileOwner) -> Profile:
        key = (owner.plugin.description.kind, owner.label, owner.protection)
        if key not in self._results:
            try:
                self._results[key] = self._found_or_made(owner)
            except PluginError as error:
                self._results[key] = error
        result = self._results[key]
        if isinstance(result, PluginError):
            raise type(result)(str(result))  # without the frames of the calibration
        return result

    def _found_or_made(self, owner: ProfileOwner) -> Profile:
        if self.make:
            return obtain_profile(owner, self.loaded, self.report)
        if (profile := find_profile(owner, self.loaded)) is None:
            raise NotMade(f"the profile of {owner.label} is made first")
        return profile


def with_own_profiles(method: Method, loaded: LoadedModel, report: Report) -> Method:
    """The method with its plugins bound to their profiles, found or made. Raises as `MethodProfiles.obtain`."""
    return method.with_profiles(MethodProfiles(loaded, report).obtain(method))


def _owner(method: Method, path: str, profiles: Mapping[str, Profile]) -> ProfileOwner:
    return ProfileOwner.of(method.owners()[path], method.scorer, method.protection, path, dict(profiles))


def profile_hashes(profiles: Mapping[str, Profile]) -> dict[str, str]:
    """The hash of each profile by path."""
    return {path: profile_hash(profile) for path, profile in profiles.items()}
