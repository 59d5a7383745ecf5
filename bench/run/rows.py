"""A plan as rows of the store."""

import platform
from collections.abc import Iterable, Iterator
from typing import Any

from ...db import schema
from ...db.arrays import pack_arrays
from ...db.plan_rows import PlanRow
from ...scorers.base import Profile
from ...tasks.catalog import TaskInfo
from ...tasks.document import facets
from ..models.load import LoadedModel
from ..plugins.method_pages import method_page
from ..plugins.plugin import Description
from ..record.environment import machine, machine_name, package_versions
from ..record.hashing import content_hash
from ..samples.sample_set import Sample, SampleSet
from .plan import Plan, RunCell, RunMethod


def environment_row(loaded: LoadedModel) -> schema.Environment:
    """The current machine and package versions."""
    device, packages, details = loaded.place, package_versions(), machine(*loaded.devices)
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
    """All rows that answers refer to, except samples."""
    yield from method_rows(plan)
    for cell in plan.cells:
        yield _cell(cell)


def method_rows(plan: Plan) -> Iterator[PlanRow]:
    """The rows of a plan that say what its methods and tasks are; no cell, which would ask for answers."""
    yield _model(plan.loaded)
    for description in _descriptions(plan.methods):
        yield method_page(description)
    for method in plan.methods:
        yield from _method(method)
    for info in {samples.task.info.name: samples.task.info for samples in plan.sample_sets}.values():
        yield _task(info)


def _model(loaded: LoadedModel) -> schema.Model:
    shape = loaded.shape
    return schema.Model(
        revision=loaded.revision,
        name=loaded.title,
        n_layers=shape.n_layers,
        n_kv_heads=shape.n_kv_heads,
        n_query_heads=shape.n_query_heads,
        head_dim=shape.head_dim,
        details={"max_positions": shape.max_positions, "architecture": loaded.model.config.model_type}
        | (
            {
                "n_layers": len(shape.layers),
                "evicted_layers": list(shape.evicted),
                "windows": [list(window) for window in shape.windows],
            }
            if shape.kept_whole
            else {}
        ),
    )


def _descriptions(methods: Iterable[RunMethod]) -> Iterable[Description]:
    """Of every plugin of some methods, each once: a page takes longer than a configuration."""
    chosen = (plugin for one in methods for plugin in (one.method.allocator, one.method.scorer) if plugin is not None)
    parts = (part.description for plugin in chosen for part in plugin.parts)
    return {(one.kind, one.name): one for one in parts}.values()


def _method(run_method: RunMethod) -> Iterator[PlanRow]:
    configuration = run_method.configuration
    for path, digest in run_method.profile_hashes.items():
        yield _profile(run_method.profiles[path], digest, configuration.model_revision)
    yield schema.Configuration(
        id=run_method.configuration_id,
        label=run_method.label,
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
    for path, digest in run_method.profile_hashes.items():
        yield schema.ConfigurationProfile(
            configuration_id=run_method.configuration_id,
            role=path,
            plugin=run_method.profiles[path].kind,
            profile_hash=digest,
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


def sample_row(samples: SampleSet, sample: Sample, *, keep_prompt: bool = False) -> schema.Sample:
    """A sample that was made, with its prompt where that is to be kept. The references in a user's own documents are
    kept with it alone: a database is published, the texts of its user are not unless that was said."""
    rendered = sample.rendered
    is_shown = keep_prompt or samples.task.info.family != "own"
    return schema.Sample(
        id=sample.id,
        prompt_hash=rendered.prompt_hash,
        generation_hash=rendered.generation_hash,
        facets=facets(rendered.document),
        reference_answers=list(rendered.document["outputs"]) if is_shown else None,
        prompt=rendered.prompt if keep_prompt else None,
        **_place(samples, rendered.ordinal),
    )


def stand_in_row(samples: SampleSet, ordinal: int) -> schema.Sample:
    """A sample that could not be made, for the failed answers to it."""
    return schema.Sample(
        id=samples.stand_in_id(ordinal), prompt_hash="", generation_hash="", **_place(samples, ordinal)
    )


def _place(samples: SampleSet, ordinal: int) -> dict[str, Any]:
    info = samples.task.info
    return {"task": info.name, "task_version": info.version, "length": samples.task.length, "ordinal": ordinal}


def _cell(cell: RunCell) -> schema.Cell:
    task = cell.samples.task
    return schema.Cell(
        id=cell.id,
        configuration_id=cell.method.configuration_id,
        task=task.info.name,
        task_version=task.info.version,
        data_revision=task.data_revision,
        length=task.length,
        samples_asked=len(cell.samples),
    )
