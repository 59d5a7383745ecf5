"""The plan of a run: samples made, prompts cut, budgets and profiles settled; all that can be wrong is wrong here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...scorers.base import Profile
from ..calibration.calibrate import Report
from ..engine.prompt import appends_special_tokens, chat_form
from ..engine.rotary import depends_on_length
from ..errors import PluginError
from ..methods.allocation import check_budget
from ..methods.eviction import check_scorers
from ..methods.method import Method
from ..methods.profiles import MethodProfiles, profile_hashes
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from ..profiles.file import profile_hash
from ..record.configuration import Configuration, PluginRecord, cell_id, recorded_hashes
from ..record.hashing import content_hash
from .request import RunRequest
from .samples import PlannedSample, PlannedTask, plan_task

__all__ = ["Plan", "PlannedCell", "PlannedMethod", "PlannedSample", "PlannedTask", "make_plan"]


@dataclass(frozen=True)
class PlannedMethod:
    """A method with its profiles and the configuration it stands for.

    Attributes:
        profiles: By the path of their plugin.
        failure: Why one of them could not be made: the method's cells fail with it.
    """

    method: Method
    profiles: Mapping[str, Profile]
    failure: PluginError | None
    configuration: Configuration

    @property
    def label(self) -> str:
        """As one would type it."""
        return self.method.label

    @cached_property
    def profile_hashes(self) -> dict[str, str]:
        """The hash of each profile by the path of its plugin."""
        return profile_hashes(self.profiles)

    @property
    def without_profile_id(self) -> str:
        """The configuration under which this one failed if its profiles could not be made at first."""
        return self.configuration.model_copy(update={"profile_hash": None, "profiles": None}).id


@dataclass(frozen=True)
class PlannedCell:
    """One method on one task."""

    id: str
    task: PlannedTask
    method: PlannedMethod


@dataclass(frozen=True)
class Plan:
    """All there is to do, whether or not some of it was done before."""

    loaded: LoadedModel
    tasks: tuple[PlannedTask, ...]
    methods: tuple[PlannedMethod, ...]
    cells: tuple[PlannedCell, ...]

    @property
    def profiles(self) -> dict[str, Profile]:
        """By hash."""
        return {profile_hash(profile): profile for method in self.methods for profile in method.profiles.values()}


def make_plan(request: RunRequest, loaded: LoadedModel, report: Report) -> Plan:
    """Settle everything that can be settled before the first prefill.

    Raises:
        UserError: a scorer, a length, a budget, a profile or a sample that cannot be served.
    """
    check_scorers(loaded, request.methods)
    if request.max_length == loaded.shape.max_positions:
        request = replace(request, max_length=None)  # the same rule under one name
    tasks = tuple(
        plan_task(request, loaded, number, seed, report)
        for seed in request.seeds
        for number in range(len(request.tasks))
    )
    lengths = sorted({sample.n_context for task in tasks for sample in task.samples})
    for method in request.methods:
        for n_tokens in lengths:
            check_budget(method, loaded.shape, n_tokens)
    obtained = _obtain_profiles(request.methods, loaded, report)
    planned = {
        rules: _distinct(_plan_method(request, loaded, one, obtained[one.label], rules) for one in request.methods)
        for rules in dict.fromkeys(map(_rules, tasks))
    }
    cells = tuple(_plan_cell(task, method) for task in tasks for method in planned[_rules(task)])
    return Plan(loaded, tasks, _distinct(cell.method for cell in cells), cells)


def _distinct(methods: Iterable[PlannedMethod]) -> tuple[PlannedMethod, ...]:
    """Each configuration once. Tasks of different rules may share one: without a chat template both forms are plain."""
    return tuple({method.configuration.id: method for method in methods}.values())


Rules = tuple[str, bool, int]
"""What a task has a configuration say: what becomes of prompts that are too long, whether a template is used, seed."""


def _rules(task: PlannedTask) -> Rules:
    return task.truncation, task.loaded.info.chat, task.seed


Obtained = Mapping[str, Profile] | PluginError
"""A method's profiles by the path of their plugin, or why one of them could not be made."""


def _obtain_profiles(methods: Sequence[Method], loaded: LoadedModel, report: Report) -> dict[str, Obtained]:
    """The profiles of each method, by its label; files that the user named are read first, since they may be wrong."""
    profiles = MethodProfiles(loaded, report)
    obtained: dict[str, Obtained] = {}
    for method in sorted(methods, key=lambda method: not _names_a_profile(method)):
        try:
            obtained[method.label] = profiles.obtain(method)
        except PluginError as error:
            obtained[method.label] = error
    return obtained


def _names_a_profile(method: Method) -> bool:
    return any(owner.arguments.get("profile") for owner in method.owners().values())


def _plan_method(
    request: RunRequest, loaded: LoadedModel, method: Method, obtained: Obtained, rules: Rules
) -> PlannedMethod:
    failure = obtained if isinstance(obtained, PluginError) else None
    profiles = {} if isinstance(obtained, PluginError) else obtained
    own, others = recorded_hashes(profile_hashes(profiles))
    truncation, templated, seed = rules
    template = content_hash(loaded.tokenizer.chat_template)[:12]
    form = chat_form(loaded.tokenizer, templated)
    plain = "plain-without-eos" if appends_special_tokens(loaded.tokenizer) else "plain"
    configuration = Configuration(
        model_revision=loaded.revision,
        dtype=loaded.dtype,
        protocol=request.protocol,
        chat_form="-".join((form, template, *loaded.template_record)) if form == "chat" else plain,
        truncation=truncation,
        allocator=_record(method.allocator),
        scorer=None if method.scorer is None else _record(method.scorer),
        ratio=None if method.budget.ratio is None else f"{method.budget.ratio:f}",
        keep_tokens=method.budget.keep_tokens,
        sink=method.protection.sink,
        window=method.protection.window,
        profile_hash=own,
        profiles=others,
        seed=seed,
        rotation="whole-sequence" if depends_on_length(loaded.model) else None,
    )
    return PlannedMethod(method, profiles, failure, configuration)


def _record(plugin: Plugin) -> PluginRecord:
    return PluginRecord(**plugin.identity)


def _plan_cell(task: PlannedTask, method: PlannedMethod) -> PlannedCell:
    info = task.loaded.info
    identity = cell_id(method.configuration, info.name, info.version, task.loaded.data_revision, task.loaded.length)
    return PlannedCell(identity, task, method)
