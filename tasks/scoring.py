"""Scores answers, in the same way for runs, for lm-eval and for recorded predictions."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module

from .. import UserError
from .definitions import definition_file, read_definition
from .document import Document

Metric = Callable[[str, Sequence[str], Sequence[str]], float]
"""(prediction, references, all_classes) -> score in [0, 1]. `metric: module:function` in a definition's
metadata names it, the module relative to this package; it is imported when it is first used."""


EXPECT_ALL = ("string_match_all", "words_match_all")
"""The metrics whose references are all expected in one answer."""


def score_prediction(task_name: str, prediction: str, answers: Sequence[str], all_classes: Sequence[str]) -> float:
    """The score of one answer, in [0, 1], as the task's authors score it.

    `answers` are the references; `all_classes` matter to classification alone. Few-shot tasks are
    scored on the first line that holds text. An unknown task or no reference is a UserError.
    """
    if not answers:
        raise UserError(f"{task_name}: an answer cannot be scored without a reference.")
    metric, first_line = _rule(task_name)
    return metric(first_line_of(prediction) if first_line else prediction, answers, all_classes)


def score_answer(document: Document, text: str) -> float:
    """The score of a text that answers a document, in [0, 1]."""
    return score_prediction(document["task"], text, document["outputs"], document["all_classes"])


def reference_text(document: Document) -> str | None:
    """A text that answers a document rightly: its first reference, or all of them where all are expected; None without
    any."""
    references = [text for text in document["outputs"] if text]
    if not references:
        return None
    path = definition_file(document["task"])
    metric = "" if path is None else read_definition(path)["metadata"]["metric"].partition(":")[2]
    return ", ".join(references) if metric in EXPECT_ALL else references[0]


def score_answers(document: Document, texts: Sequence[str]) -> dict[str, float]:
    """lm-eval's process_results: the one metric of a document, `score`, mean over the texts."""
    return {"score": sum(score_answer(document, text) for text in texts) / len(texts)}


def first_line_of(prediction: str) -> str:
    """The first line that is not empty (THUDM/LongBench, eval.py)."""
    return prediction.lstrip("\n").split("\n")[0]


@cache
def _rule(task_name: str) -> tuple[Metric, bool]:
    path = definition_file(task_name)
    if path is None:
        raise UserError(f"There is no task {task_name!r}: lukv-bench list tasks shows them.")
    metadata = read_definition(path)["metadata"]
    module, _, function = metadata["metric"].partition(":")
    metric: Metric = getattr(import_module(f".{module}", __package__), function)
    return metric, metadata.get("first_line", False)
