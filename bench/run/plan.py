"""The plan of a run: samples made, prompts cut, budgets and profiles settled; all that can be wrong is wrong here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...scorers.base import Profile, Protection
from ..calibration.calibrate import Report
from ..engine.prompt import appends_special_tokens, chat_form
from ..engine.rotary import depends_on_length
from ..errors import PluginError
from ..methods.allocation import check_budget
from ..methods.choosing import check_scorers
from ..methods.method import Method
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from ..profiles.file import profile_hash
from ..profiles.obtain import obtain_profile
from ..record.configuration import Configuration, PluginRecord, cell_id
from ..record.hashing import content_hash
from .request import RunRequest
from .samples import PlannedSample, PlannedTask, plan_task

__all__ = ["Plan", "PlannedCell", "PlannedMethod", "PlannedSample", "PlannedTask", "make_plan"]


@dataclass(frozen=True)
class PlannedMethod:
    """A method with its profile and the configuration it stands for.

    Attributes:
        failure: Why its profile could not be made: its cells fail with it.
    """

    method: Method
    profile: Profile | None
    failure: PluginError | None
    configuration: Configuration

    @property
    def label(self) -> str:
        """As one would type it."""
        return self.method.label

    @property
    def profile_hashes(self) -> tuple[str, ...]:
        """The profiles that its plugins need."""
        return () if self.configuration.profile_hash is None else (self.configuration.profile_hash,)

    @property
    def without_profile_id(self) -> str:
        """The configuration under which this one failed if its profile could not be made at first."""
        return self.configuration.model_copy(update={"profile_hash": None}).id


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
        return {
            name: method.profile
            for method in self.methods
            if method.profile is not None
            for name in method.profile_hashes
        }


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
    profiles = _obtain_profiles(request.methods, loaded, report)
    planned = {
        rules: _distinct(_plan_method(request, loaded, one, profiles.get(_need(one)), rules) for one in request.methods)
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


Need = tuple[str, str, Protection] | None
"""Allocator, scorer and protection that a profile is for; None = the method needs none."""


def _need(method: Method) -> Need:
    owner = method.allocator.profile_owner
    if method.scorer is None or owner is None:
        return None
    return owner.label, method.scorer.label, method.protection


def _obtain_profiles(
    methods: Sequence[Method], loaded: LoadedModel, report: Report
) -> dict[Need, Profile | PluginError]:
    """Every profile that is needed, once; those that the user named first, since they may be wrong."""
    asked = {
        _need(method): (method.allocator.profile_owner, method.scorer, method.protection)
        for method in methods
        if method.allocator.profile_owner is not None and method.scorer is not None
    }
    found: dict[Need, Profile | PluginError] = {}
    for need, (owner, scorer, protection) in sorted(
        asked.items(), key=lambda item: not item[1][0].arguments.get("profile")
    ):
        try:
            found[need] = obtain_profile(owner, scorer, protection, loaded, report)
        except PluginError as error:
            found[need] = PluginError(str(error))  # without the frames of the calibration
    return found


def _plan_method(
    request: RunRequest,
    loaded: LoadedModel,
    method: Method,
    obtained: Profile | PluginError | None,
    rules: Rules,
) -> PlannedMethod:
    profile = obtained if isinstance(obtained, Profile) else None
    failure = obtained if isinstance(obtained, PluginError) else None
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
        profile_hash=None if profile is None else profile_hash(profile),
        seed=seed,
        rotation="whole-sequence" if depends_on_length(loaded.model) else None,
    )
    return PlannedMethod(method, profile, failure, configuration)


def _record(plugin: Plugin) -> PluginRecord:
    return PluginRecord(**plugin.identity)


def _plan_cell(task: PlannedTask, method: PlannedMethod) -> PlannedCell:
    info = task.loaded.info
    identity = cell_id(method.configuration, info.name, info.version, task.loaded.data_revision, task.loaded.length)
    return PlannedCell(identity, task, method)
