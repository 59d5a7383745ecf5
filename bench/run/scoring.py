"""Scores: of one text, apart from its decoding, and of a cell whose answers are all there.

A metric's library may raise anything over a text that it did not expect. The text is kept whatever it does, so that
the same run again scores it without decoding.
"""

from ...db.store import Store
from ..errors import reason_of, without_frames
from ..models.load import LoadedModel
from .lmeval import RenderedSample, replay, score_answer
from .outcome import Outcome
from .plan import PlannedCell, PlannedTask


def score_text(task: PlannedTask, sample: RenderedSample, text: str) -> float | Exception:
    """The task's metric for one answer, in [0, 1], or what went wrong in it."""
    try:
        score = score_answer(task.loaded, sample, text)
    except Exception as error:
        return without_frames(error)
    if not 0 <= score <= 1:  # NaN too
        return ValueError(f"the metric of {task.loaded.info.name} gave {score}, which is not in [0, 1]")
    return score


def score_cell(loaded: LoadedModel, store: Store, cell: PlannedCell, outcome: Outcome) -> None:
    """Let lm-eval aggregate a cell whose answers are all there, once; a metric that breaks fails its own cell."""
    prompts = {sample.id: sample.rendered.prompt for sample in cell.task.samples}
    if store.is_scored(cell.id):
        return
    answers = [answer for answer in store.answers(cell.id) if answer.sample_id in prompts]
    if len(answers) < len(prompts):
        return
    try:
        result = replay(cell.task.loaded, loaded.tokenizer, [(prompts[a.sample_id], a.text) for a in answers])
    except Exception as error:
        outcome.add_failed_cell(cell.id, reason_of(error))
        store.set_cell_error(cell.id, reason_of(error))
        return
    store.set_score(cell.id, result.score, result.stderr, samples=len(answers))
