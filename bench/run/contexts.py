"""How many tokens of a length are context."""

from collections.abc import Iterator, Sequence

from ..samples.sample_set import SampleSet
from .plan import Plan


def context_notes(plan: Plan) -> Iterator[str]:
    """A line for each length of a plan, by the first samples: the tokens of context, and what takes the rest."""
    lengths = dict.fromkeys(samples.task.length for samples in plan.sample_sets)
    for length in lengths:
        if length is not None:
            yield _note(length, [samples for samples in plan.sample_sets if samples.task.length == length])


def _note(length: int, sample_sets: Sequence[SampleSet]) -> str:
    contexts = [len(samples.first.context) for samples in sample_sets]
    questions = [len(samples.first.question) for samples in sample_sets]
    rooms = [samples.task.info.max_new_tokens for samples in sample_sets]
    empty = [length - sum(parts) for parts in zip(contexts, questions, rooms, strict=True)]
    rest = f"{_span(rooms)} kept free for the answer count, too"
    if max(empty) > 0:
        rest += f"; {_span([max(n, 0) for n in empty])} stay empty"
    if min(empty) < 0:
        rest += f"; some samples are up to {-min(empty)} tokens longer than that"
    if sample_sets[0].protocol == "aware":
        return f"--length {length} leaves {_span(contexts)} tokens of context and question: {rest}"
    question = f"{_span(questions)} of the question with its template"
    return f"--length {length} leaves {_span(contexts)} tokens of context: {question} and {rest}"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
