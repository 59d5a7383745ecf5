"""A run: every allocator with every scorer at every budget, on every task at every length, on every model."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..reports.progress import ProgressOption, shown_progress
from .defaults import MODEL, SCHEDULE, TASKS
from .keywords import keywords_of
from .messages import python_messages
from .model import Model
from .several import Names, Numbers, Shares

if TYPE_CHECKING:
    import pandas as pd

    from .checked import CheckedGrid

Combinations = Mapping[str, Any]
"""Axes by name, each with one value or several: {"allocator": "adakv", "ratio": [0.8, 0.9]}."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The options of a run. Where several values are given, every combination runs.

    Attributes:
        model: Alias, hub id or local folder, or a model that `load` gave. Several are loaded in turn.
        allocator: "NAME" or "NAME:key=value,...".
        scorer: "NAME" or "NAME:key=value,...".
        ratio: Share of the context to prune, 0 <= ratio < 1; None = 0.8, unless `keep_tokens` is given.
        keep_tokens: Tokens to keep per head, on average, instead of a ratio.
        schedule: When the context is evicted: "one-shot" = once, after all of it; "block:N" = it is fed in blocks of N
            tokens, and every layer is evicted after each.
        tasks: Tasks or families.
        length: Tokens of template, context, question and room for the answer together; None = 1024.
        limit: Samples of each task; None = 12, or every question about own documents.
        seed: Of samples, and of methods that draw at random.
        include: Combinations to add. An axis that an entry does not name has the values of the grid.
        exclude: Combinations to leave out of the grid: those that match every axis that an entry names. What `include`
            adds stays. A plugin named without arguments matches all of its name.
        protocol: "agnostic": evict before the question is seen; "aware": after.
        thinking: Whether to enable thinking if the chat template has a switch for it; the thoughts are not scored.
        sink: First tokens never evicted; None = the scorer's.
        window: Last tokens never evicted; None = the scorer's.
        data: Own documents instead of tasks: a .jsonl or .csv file of rows with a context and questions, or a .txt or
            .md file, or a folder of those, with `question` (docs/howto/own-documents.md).
        metric: How answers about own documents are scored: "exact", "contains", "f1", "rouge", "code", or "none" =
            by equality with the full cache's answer; None = "contains" where there are references, else "none".
        question: Asked of every text file of `data`.
        data_name: Of the task that own documents make; None = the name of their file.
        answer_tokens: The most tokens of an answer about own documents; None = as many as its metric wants.
        data_dir: Local files in the originals' formats, instead of the hub.
        samples: A folder that `tasks export` wrote, to read the samples from.
        truncate: Whether to cut the middle of LongBench contexts that are too long; otherwise they are refused.
        max_length: Tokens of prompt and answer above which a context is too long; None = the model's positions.
        db: A SQLite file or the URL of a SQLite or PostgreSQL database; None = the file under the user's data folder.
        device: Such as "cpu" or "cuda:1"; "auto" = spread over all GPUs; None = CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; None = float32 on the CPU, else bfloat16.
        backend: Of the kernels: "torch", "triton", "triton-interpret"; None = Triton on a GPU that has it, else torch.
        baselines: Whether the full cache and the uniform allocator are added.
        floors: Whether two floors are added at every budget: `uniform` x `streaming_llm` (the first tokens and the last
            ones) and `uniform` x `random`.
        oracles: Whether ceilings are added at every budget: the allocator and the scorer `oracle`, which read what the
            reference answer will attend to. They are ranked nowhere (docs/howto/floors-and-ceilings.md).
        batch: Configurations of a sample that decode together; "auto" = as many as memory holds. With 1 each decodes
            alone and token by token, which is slower for many, and only then ttft and tpot are measured.
        max_memory: GiB that "auto" may fill on each device, all workers there together; None = half of what is free.
            With `cost`, what the largest batch may take beside the model; None = only batch 1 is measured.
        drafts: Whether answers are drafted from others to the sample, the prompt and themselves. Drafts are verified:
            an answer is what decoding token by token gives. Models with recurrent layers draft nothing.
        fidelity: Whether each answer's next tokens are compared with the full cache's, which then answers, too; None =
            where several configurations of a sample share its prefill. It needs drafts.
        redo: Whether to replace stored answers.
        fail_fast: Whether the first failed answer ends the run.
        keep_prompts: Whether to store the prompts of the samples that are answered, for the site to show.
        evidence_layers: Whether to store what is kept of the evidence for each layer too (docs/tasks.md).
        shard: "i/n": answer part i of n of the samples alone; None = all.
        executor: "local" (processes of this machine) or "ray"; None = this process.
        workers: Of the executor; None = one for each GPU.
        address: Of a running Ray cluster, "HOST:PORT" or "auto"; None = Ray is started on this machine.
        cost: Whether to measure what each cell costs instead of answering: seconds, memory and bytes, on the first
            sample of each task, alone in a process of its own (docs/cost.md).
        repeats: Of each measurement; None = 5.
        new_tokens: Tokens that each repeat decodes, whatever ends an answer otherwise; None = 32.
        progress: True = a bar (lines, where stderr is no terminal), False = nothing, or a function called with
            (stage, steps done, steps in all).
    """

    model: str | Model | Iterable[str | Model] = MODEL
    allocator: Names = "lukv"
    scorer: Names = "keydiff"
    ratio: Shares | None = None
    keep_tokens: Numbers | None = None
    schedule: Names = SCHEDULE
    tasks: Names = TASKS
    length: Numbers | None = None
    limit: int | None = None
    seed: Numbers = 0
    include: Iterable[Combinations] = ()
    exclude: Iterable[Combinations] = ()
    protocol: str = "agnostic"
    thinking: bool = False
    sink: int | None = None
    window: int | None = None
    data: str | Path | None = None
    metric: str | None = None
    question: Names = ()
    data_name: str | None = None
    answer_tokens: int | None = None
    data_dir: str | Path | None = None
    samples: str | Path | None = None
    truncate: bool = True
    max_length: int | None = None
    db: str | Path | None = None
    device: str | None = None
    dtype: str | None = None
    backend: str | None = None
    baselines: bool = True
    floors: bool = False
    oracles: bool = False
    batch: int | str = "auto"
    max_memory: float | None = None
    drafts: bool = True
    fidelity: bool | None = None
    redo: bool = False
    fail_fast: bool = False
    keep_prompts: bool = False
    evidence_layers: bool = False
    shard: str | None = None
    executor: str | None = None
    workers: int | None = None
    address: str | None = None
    cost: bool = False
    repeats: int | None = None
    new_tokens: int | None = None
    progress: ProgressOption = True


@keywords_of(Grid)
@python_messages()
def run(grid: Grid) -> "pd.DataFrame":
    """Evict, answer and score as `lukv-bench run` does; gives a row per cell, with the columns of `Results.cells`.

    Each answer is stored as soon as it is complete. The same call again answers what is missing or failed and repeats
    nothing, also after an interrupt. The keywords are the attributes of `Grid`. Failed answers are counted in the
    column `n_failed`, with the first reason in `error`, and a warning is issued for each cell that has any.

    With `cost` the cells are measured instead: a row per measurement, with the columns of `results --cost --json`, and
    a warning for each that failed.

    Raises:
        UserError: an option, the model or a task cannot be served; nothing was stored.
        KeyboardInterrupt: the user stopped it; every answer so far is stored.
        StoreError: the database failed.
        WorkerError: no worker is left; every answer so far is stored.
    """
    from ...db.queries import COMPARED_COLUMNS, rows_frame
    from ...db.urls import describe
    from .checked import check_grid
    from .recorded import recorded_command, words_of

    checked = check_grid(grid)
    command = recorded_command(["lukv_bench.run", *words_of(checked.grid)], describe(checked.url))
    if checked.grid.cost:
        return _measured(checked, command)
    with shown_progress(grid.progress) as progress:
        finished = checked.carry_out(command, progress)
    for line in finished.failures:
        warnings.warn(line, RuntimeWarning, stacklevel=4)
    return rows_frame(finished.rows, COMPARED_COLUMNS)


def _measured(checked: "CheckedGrid", command: list[str]) -> "pd.DataFrame":
    """A row per measurement; a warning for each that failed."""
    from ...db.cost_rows import COST_COLUMNS
    from ...db.queries import rows_frame
    from .cost import measure_grid

    with shown_progress(checked.grid.progress) as progress:
        measured = measure_grid(checked, command, progress)
    for line in measured.failures:
        warnings.warn(line, RuntimeWarning, stacklevel=5)
    return rows_frame(measured.rows, COST_COLUMNS)
