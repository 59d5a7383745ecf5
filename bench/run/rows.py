"""What a plan says, as rows of the store."""

import platform
from collections.abc import Iterator

from ...db import schema
from ...db.asked import Asked
from ...tasks.document import facets
from ..models.load import LoadedModel
from ..record.environment import machine, package_versions
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
        packages=packages,
        details=details,
    )


def plan_rows(plan: Plan) -> Iterator[Asked]:
    """Everything the answers will refer to."""
    yield _model(plan.loaded)
    for method in plan.methods:
        yield from _method(method)
    for task in plan.tasks:
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


def _method(planned: PlannedMethod) -> Iterator[Asked]:
    method, configuration = planned.method, planned.configuration
    scorers = () if method.scorer is None else method.scorer.parts
    for plugin in (*method.allocator.parts, *scorers):
        known = plugin.description
        yield schema.Method(
            kind=known.kind,
            name=known.name,
            distribution=known.distribution,
            version=known.version,
            summary=known.summary,
            source=known.source,
            arguments=[{"name": a.name, "type": a.type, "default": a.default} for a in known.arguments],
        )
    for path, digest in planned.profile_hashes.items():
        made = planned.profiles[path].made
        yield schema.Profile(
            hash=digest,
            model_revision=configuration.model_revision,
            scorer=made.get("scorer"),
            details=dict(made),
        )
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
