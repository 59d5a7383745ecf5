"""What a plan says, as rows of the store."""

import platform
from collections.abc import Iterator

from ...db import schema
from ...db.arrays import pack_arrays
from ...db.plan_rows import PlanRow
from ...scorers.base import Profile
from ...tasks.catalog import TaskInfo
from ...tasks.document import facets
from ..models.load import LoadedModel
from ..plugins.method_pages import method_page
from ..record.environment import machine, machine_name, package_versions
from ..record.hashing import content_hash
from .plan import Plan, PlannedCell, PlannedMethod, PlannedTask


def environment_row(loaded: LoadedModel) -> schema.Environment:
    """The machine and packages at hand."""
    device, packages, details = str(loaded.device), package_versions(), machine(loaded.device)
    python, system = platform.python_version(), platform.platform()
    return schema.Environment(
        id=content_hash([python, system, device, packages, details]),
        python=python,
        platform=system,
        device=device,
        machine=machine_name(details),
        packages=packages,
        details=details,
    )


def plan_rows(plan: Plan) -> Iterator[PlanRow]:
    """Everything the answers will refer to."""
    yield _model(plan.loaded)
    for method in plan.methods:
        yield from _method(method)
    for task in plan.tasks:
        yield _task(task.loaded.info)
        yield from _samples(task)
    for cell in plan.cells:
        yield _cell(cell)


def _model(loaded: LoadedModel) -> schema.Model:
    shape = loaded.shape
    return schema.Model(
        revision=loaded.revision,
        name=loaded.title,
        n_layers=shape.n_layers,
        n_kv_heads=shape.n_kv_heads,
        n_query_heads=shape.n_query_heads,
        head_dim=shape.head_dim,
        details={"max_positions": shape.max_positions, "architecture": loaded.model.config.model_type},
    )


def _method(planned: PlannedMethod) -> Iterator[PlanRow]:
    method, configuration = planned.method, planned.configuration
    scorers = () if method.scorer is None else method.scorer.parts
    for plugin in (*method.allocator.parts, *scorers):
        yield method_page(plugin.description)
    for path, digest in planned.profile_hashes.items():
        yield _profile(planned.profiles[path], digest, configuration.model_revision)
    yield schema.Configuration(
        id=configuration.id,
        label=planned.label,
        model_revision=configuration.model_revision,
        dtype=configuration.dtype,
        attention=configuration.attention,
        protocol=configuration.protocol,
        chat_form=configuration.chat_form,
        truncation=configuration.truncation,
        allocator=configuration.allocator.name,
        allocator_args=dict(configuration.allocator.arguments),
        scorer=None if configuration.scorer is None else configuration.scorer.name,
        scorer_args={} if configuration.scorer is None else dict(configuration.scorer.arguments),
        ratio=configuration.ratio,
        keep_tokens=configuration.keep_tokens,
        sink=configuration.sink,
        window=configuration.window,
        schedule=configuration.schedule,
        profile_hash=configuration.profile_hash,
        seed=configuration.seed,
        code_version=configuration.code_version,
        spec=configuration.model_dump(mode="json"),
    )
    for path, digest in planned.profile_hashes.items():
        yield schema.ConfigurationProfile(
            configuration_id=configuration.id, role=path, plugin=planned.profiles[path].kind, profile_hash=digest
        )


def _profile(profile: Profile, digest: str, model_revision: str) -> schema.Profile:
    return schema.Profile(
        hash=digest,
        model_revision=model_revision,
        scorer=profile.made.get("scorer"),
        details=dict(profile.made),
        arrays=pack_arrays({name: array.double().numpy() for name, array in profile.arrays.items()}),
    )


def _task(info: TaskInfo) -> schema.Task:
    return schema.Task(
        name=info.name,
        version=info.version,
        family=info.family,
        metric=info.metric,
        summary=info.summary,
        source=info.source,
    )


def _samples(task: PlannedTask) -> Iterator[schema.Sample]:
    info = task.loaded.info
    for sample in task.samples:
        yield schema.Sample(
            id=sample.id,
            task=info.name,
            task_version=info.version,
            length=task.loaded.length,
            ordinal=sample.rendered.ordinal,
            prompt_hash=sample.rendered.prompt_hash,
            generation_hash=sample.rendered.generation_hash,
            facets=facets(sample.rendered.document),
            reference_answers=list(sample.rendered.document["outputs"]),
        )


def _cell(cell: PlannedCell) -> schema.Cell:
    info = cell.task.loaded.info
    return schema.Cell(
        id=cell.id,
        configuration_id=cell.method.configuration.id,
        task=info.name,
        task_version=info.version,
        data_revision=cell.task.loaded.data_revision,
        length=cell.task.loaded.length,
        samples_asked=len(cell.task.samples),
    )
