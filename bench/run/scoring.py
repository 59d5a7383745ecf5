"""The score of one text, apart from its decoding.

A metric's library may raise anything over a text that it did not expect. The text is kept whatever it does, so that
the same run again scores it without decoding.
"""

from ..errors import without_frames
from .lmeval import RenderedSample, score_answer
from .plan import PlannedTask


def score_text(task: PlannedTask, sample: RenderedSample, text: str) -> float | Exception:
    """The task's metric for one answer, in [0, 1], or what went wrong in it."""
    try:
        score = score_answer(task.loaded, sample, text)
    except Exception as error:
        return without_frames(error)
    if not 0 <= score <= 1:  # NaN too
        return ValueError(f"the metric of {task.loaded.info.name} gave {score}, which is not in [0, 1]")
    return score
