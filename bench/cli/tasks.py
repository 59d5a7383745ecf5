"""`lukv-bench tasks export` and `lukv-bench tasks score`."""

import json as json_
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from ... import UserError
from ...tasks.json_text import read_json
from ..api.defaults import LENGTH, LIMIT, MODEL, TASKS
from ..api.values import axis, samples_limit, storable, whole_numbers
from ..reports.progress import progress
from .options import DataDir, Json, Length, Limit, Model, Seed, Tasks, Thinking


def export(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to, a file for each task.", metavar="DIR")],
    tasks: Tasks = None,
    length: Length = None,
    limit: Limit = LIMIT,
    seed: Seed = 0,
    model: Model = MODEL,
    data_dir: DataDir = None,
    thinking: Thinking = False,
) -> int:
    """Write the samples that a run would make, to read, to check or to take to another machine.

    A JSON object a line: context, question, answer prefix, the prompt as rendered for this model, answers, generation
    arguments and hashes. `run --samples DIR` reads them; its cells and answers are those of a run that makes them.
    """
    from ...tasks.catalog import expand
    from ..files.access import user_path
    from ..files.kinds import SAMPLES
    from ..files.writable import check_file_place
    from ..models.find import check_model_name

    samples_limit(limit)
    storable("--seed", seed)
    lengths = whole_numbers("--length", length or [str(LENGTH)])
    check_model_name(model)
    out = user_path(out, "--out")
    data_dir = None if data_dir is None else user_path(data_dir, "--data-dir")
    check_file_place(out / "samples.jsonl", "--out", SAMPLES)
    named = expand(axis("--tasks", tasks or [TASKS]))
    with redirect_stdout(sys.stderr), progress() as shown:
        shown.report("loading transformers", 0, 1)
        from ..models.load import load_prompt_model
        from ..run.spec import tasks_at_lengths, without_length
        from ..samples.files import file_name, sample_lines, write_samples
        from ..samples.opening import open_task
        from ..samples.source import SampleSource

        at_lengths = tasks_at_lengths(named, lengths)
        if length is not None and (note := without_length(at_lengths)):
            shown.message(note)
        for info, tokens in at_lengths:
            check_file_place(out / file_name(info.name, tokens), "--out", SAMPLES)
        source, prompts = SampleSource(limit, data_dir), load_prompt_model(model, thinking)
        opened = [open_task(source, info, tokens, seed, prompts) for info, tokens in at_lengths]
        exports = [(task, list(sample_lines(task, prompts, limit, shown.report))) for task in opened]
        for task, lines in exports:
            path = write_samples(out, task, lines)
            shown.message(f"wrote {path} ({len(lines)} samples)")
    return 0


def score(
    task: Annotated[str, typer.Argument(help="The task that was answered.", metavar="TASK")],
    file: Annotated[
        Path, typer.Argument(help='JSON objects, one a line: {"pred", "answers", "all_classes"}.', metavar="FILE")
    ],
    json: Json = False,
) -> int:
    """Score recorded predictions as a run scores its answers: task, n and the mean score, 0 to 100."""
    from ...tasks.catalog import task_info
    from ...tasks.scoring import score_prediction

    name = task_info(task).name
    scores = []
    for number, line in _lines(file):
        pred, answers, classes = _prediction(file, number, line)
        try:
            scores.append(score_prediction(name, pred, answers, classes))
        except UserError as error:
            raise UserError(f"{file}, line {number}: {error}") from error
    if not scores:
        raise UserError(f"{file} holds no predictions.")
    row = {"task": name, "n": len(scores), "score": 100 * sum(scores) / len(scores)}
    if json:
        print(json_.dumps([row], indent=1))
    else:
        print(f"{name}: {row['score']:.2f} over {len(scores)} predictions")
    return 0


def _lines(file: Path) -> list[tuple[int, str]]:
    from ..files.access import read_text

    text = read_text(file, "the predictions")
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _prediction(file: Path, number: int, line: str) -> tuple[str, list[str], list[str]]:
    """(prediction, references, classes) of a line."""
    row: Any = read_json(f"{file}, line {number}", line, halves=True)
    if not isinstance(row, dict):
        raise UserError(f"{file}, line {number}: a JSON object is expected.")
    pred, answers, classes = row.get("pred"), row.get("answers"), row.get("all_classes") or []
    if not isinstance(pred, str):
        raise UserError(f'{file}, line {number}: "pred" must be a text.')
    for key, value in (("answers", answers), ("all_classes", classes)):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UserError(f'{file}, line {number}: "{key}" must be a list of texts.')
    return pred, list(answers or []), list(classes)
