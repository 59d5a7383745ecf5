"""The plan of a run: its tasks, methods and cells, validated before the first prefill."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ... import UserError
from ...scorers.base import Profile
from ..calibration.steps import Report
from ..engine.prompt import appends_special_tokens, chat_form
from ..engine.rotary import depends_on_length
from ..errors import PluginError
from ..methods.allocation import check_budget
from ..methods.eviction import check_methods
from ..methods.method import Method
from ..methods.profiles import MethodProfiles, NotMade, profile_hashes
from ..models.load import LoadedModel
from ..plugins.plugin import Plugin
from ..profiles.file import profile_hash
from ..record.configuration import Configuration, PluginRecord, cell_id, recorded_hashes
from ..record.hashing import content_hash
from ..samples.opening import check_own, open_samples
from ..samples.sample_set import Fitting, SampleSet
from .spec import RunSpec


@dataclass(frozen=True)
class RunMethod:
    """A method with its profiles and the configuration it stands for.

    Attributes:
        profiles: By the path of their plugin.
        failure: Why one of them could not be made; None if all were. The method's cells fail with it.
    """

    method: Method
    profiles: Mapping[str, Profile]
    failure: PluginError | None
    configuration: Configuration

    @property
    def label(self) -> str:
        """As written on the command line."""
        return self.method.label

    @cached_property
    def configuration_id(self) -> str:
        """Of its configuration; hashed once for all cells."""
        return self.configuration.id

    @cached_property
    def profile_hashes(self) -> dict[str, str]:
        """The hash of each profile by the path of its plugin."""
        return profile_hashes(self.profiles)

    @property
    def without_profile_id(self) -> str:
        """The id under which earlier failures to make its profiles were recorded."""
        return self.configuration.model_copy(update={"profile_hash": None, "profiles": None}).id


@dataclass(frozen=True)
class RunCell:
    """One method on one task."""

    id: str
    samples: SampleSet
    method: RunMethod


@dataclass(frozen=True)
class Plan:
    """All cells of a run, including those that were answered before."""

    loaded: LoadedModel
    sample_sets: tuple[SampleSet, ...]
    methods: tuple[RunMethod, ...]
    cells: tuple[RunCell, ...]

    def cells_of(self, samples: SampleSet) -> Sequence[RunCell]:
        """The cells that answer a sample set of the plan, in order."""
        return self._cells[id(samples)]

    @cached_property
    def _cells(self) -> dict[int, list[RunCell]]:
        """By the identity of their sample set."""
        cells: dict[int, list[RunCell]] = {id(samples): [] for samples in self.sample_sets}
        for cell in self.cells:
            cells[id(cell.samples)].append(cell)
        return cells

    @property
    def profiles(self) -> dict[str, Profile]:
        """By hash."""
        return {profile_hash(profile): profile for method in self.methods for profile in method.profiles.values()}

    @property
    def to_make(self) -> tuple[str, ...]:
        """The profiles that are not there and were not made, each once, in words."""
        return tuple(dict.fromkeys(str(one.failure) for one in self.methods if isinstance(one.failure, NotMade)))


def make_plan(spec: RunSpec, loaded: LoadedModel, report: Report, *, make_profiles: bool = True) -> Plan:
    """Open the tasks, make the first sample of each, check every budget on it and obtain the profiles.

    Args:
        spec: What is to be run.
        loaded: The model.
        report: Shows the progress.
        make_profiles: Whether profiles that are not there are made; otherwise their methods have failed with `NotMade`.

    Raises:
        UserError: a scorer, a length, a budget, a profile or a task that cannot be served.
    """
    check_methods(loaded, spec.methods)
    if spec.max_length == loaded.shape.max_positions:
        spec = replace(spec, max_length=None)  # the default, written out
    sample_sets = _open(spec, loaded, report)
    _check_budgets(spec, sample_sets)
    _check_references(spec, sample_sets)
    obtained = _obtain_profiles(spec.methods, MethodProfiles(loaded, report, make_profiles))
    configured: dict[tuple[Rules, str], RunMethod] = {}
    cells: dict[str, RunCell] = {}
    for samples, task in zip(sample_sets, spec.tasks, strict=True):
        for method in task.methods:
            key = (_rules(samples), method.label)
            if key not in configured:
                configured[key] = _run_method(spec, loaded, method, obtained[method.label], key[0])
            cell = _run_cell(samples, configured[key])
            cells.setdefault(cell.id, cell)
    return Plan(loaded, sample_sets, _distinct(cell.method for cell in cells.values()), tuple(cells.values()))


def _check_budgets(spec: RunSpec, sample_sets: Sequence[SampleSet]) -> None:
    """Check every budget on the first sample of each task that its method answers.

    Raises:
        UserError: one cannot be served.
    """
    checked = set()
    for samples, task in zip(sample_sets, spec.tasks, strict=True):
        n_tokens = len(samples.first.context)
        for method in task.methods:
            if (n_tokens, method.label) not in checked:
                check_budget(method, samples.loaded.shape, n_tokens)
                checked.add((n_tokens, method.label))


def _check_references(spec: RunSpec, sample_sets: Sequence[SampleSet]) -> None:
    """Check that the tasks that oracles answer have reference answers.

    Raises:
        UserError: one never has, or thoughts come before the answers.
    """
    for samples, task in zip(sample_sets, spec.tasks, strict=True):
        oracle = next((method.label for method in task.methods if method.is_oracle), None)
        reason = None if oracle is None else samples.without_references
        if reason is not None:
            raise UserError(
                f"{oracle} is an oracle: it reads what the reference answer will attend to, and {reason}; leave "
                f"oracles out of {task.info.name}."
            )


def _open(spec: RunSpec, loaded: LoadedModel, report: Report) -> tuple[SampleSet, ...]:
    """Every task of the run, with its first sample made.

    Raises:
        UserError: a task or its first sample cannot be made.
    """
    sample_sets = []
    if spec.max_length is not None and spec.max_length > loaded.shape.max_positions:
        raise UserError(
            f"--max-length {spec.max_length} is more than {loaded.name} has, {loaded.shape.max_positions} positions."
        )
    for task in spec.tasks:
        info = task.info
        report(f"first sample of {info.name}", 0, 1)
        fitting = Fitting(spec.truncation(info), spec.max_length)
        samples = open_samples(spec.source, info, task.length, task.seed, loaded, spec.protocol, fitting)
        if spec.source.own is not None and info.name == spec.source.own.info.name:
            check_own(spec.source.own, samples, report)
        _ = samples.first
        sample_sets.append(samples)
    return tuple(sample_sets)


def _distinct(methods: Iterable[RunMethod]) -> tuple[RunMethod, ...]:
    """Each configuration once. Tasks with different rules can share one: without a chat template all are plain."""
    return tuple({method.configuration_id: method for method in methods}.values())


Rules = tuple[str, bool, int]
"""What a configuration records of a task: truncation, whether a chat template may be used, seed."""


def _rules(samples: SampleSet) -> Rules:
    return samples.fitting.truncation, samples.task.info.chat, samples.task.seed


Obtained = Mapping[str, Profile] | PluginError
"""A method's profiles by the path of their plugin, or why one of them could not be made."""


def _obtain_profiles(methods: Sequence[Method], profiles: MethodProfiles) -> dict[str, Obtained]:
    """The profiles of each method, by its label. Files named by the user are read first, since they may be invalid."""
    obtained: dict[str, Obtained] = {}
    for method in sorted(methods, key=lambda method: not _names_a_profile(method)):
        try:
            obtained[method.label] = profiles.obtain(method)
        except PluginError as error:
            obtained[method.label] = error
    return obtained


def _names_a_profile(method: Method) -> bool:
    return any(owner.arguments.get("profile") for owner in method.owners().values())


def _run_method(spec: RunSpec, loaded: LoadedModel, method: Method, obtained: Obtained, rules: Rules) -> RunMethod:
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
        attention=f"ragged-{loaded.backend}",
        protocol=spec.protocol,
        chat_form="-".join((form, template, *loaded.template_record)) if form == "chat" else plain,
        truncation=truncation,
        allocator=_record(method.allocator),
        scorer=None if method.scorer is None else _record(method.scorer),
        ratio=None if method.budget.ratio is None else f"{method.budget.ratio:f}",
        keep_tokens=method.budget.keep_tokens,
        sink=method.protection.sink,
        window=method.protection.window,
        schedule=str(method.schedule),
        profile_hash=own,
        profiles=others,
        seed=seed,
        rotation="whole-sequence" if depends_on_length(loaded.model) else None,
        evicted_layers=loaded.shape.evicted if loaded.shape.kept_whole else None,
        oracle=method.reading_future or None,
        scored_logits=None if method.scorer is None else loaded.scored_logits(method.scorer.instance.reads) or None,
    )
    return RunMethod(method, profiles, failure, configuration)


def _record(plugin: Plugin) -> PluginRecord:
    return PluginRecord(**plugin.identity)


def _run_cell(samples: SampleSet, method: RunMethod) -> RunCell:
    task = samples.task
    identity = cell_id(method.configuration_id, task.info.name, task.info.version, task.data_revision, task.length)
    return RunCell(identity, samples, method)
