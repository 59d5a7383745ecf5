"""Sample sets that travel: written by `tasks export`, read and verified by `run --samples`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import UserError
from ...tasks.catalog import TaskInfo
from ...tasks.document import own_fields
from ...tasks.load import LoadedTask, given_task
from ...tasks.request import Samples
from ..engine.prompt import encode
from ..files.access import write_whole
from ..models.load import PromptModel
from ..record.configuration import sample_id
from ..record.hashing import content_hash
from .cut import cut_sample
from .exported_line import verified
from .lmeval import RenderedSample

ALIKE = ("data_revision", "asked", "n", "model")
"""Fields that all lines of an export have in common; what the run itself says is not among them."""

Record = Mapping[str, Any]


def file_name(task: str, length: int | None) -> str:
    """Where a task's samples are in the folder."""
    return f"{task}.jsonl" if length is None else f"{task}.{length}.jsonl"


def sample_lines(
    task: LoadedTask, samples: Sequence[RenderedSample], model: PromptModel, seed: int, limit: int
) -> list[str]:
    """A task's samples, a JSON object a line.

    Raises:
        UserError: a run could not cut a prompt where its context ends.
    """
    export = {"seed": seed, "asked": limit, "n": len(samples), "model": model.title}
    return [json.dumps(_record(task, sample, model, export), ensure_ascii=False) for sample in samples]


def write_samples(folder: Path, task: LoadedTask, lines: Sequence[str]) -> Path:
    """Write a task's samples; the file is there whole or not at all.

    Raises:
        UserError: the place cannot be written to.
    """
    path = folder / file_name(task.info.name, task.length)
    content = "".join(line + "\n" for line in lines)
    write_whole(path, "--out", lambda place: place.write_text(content, encoding="utf-8"))
    return path


def _record(task: LoadedTask, sample: RenderedSample, model: PromptModel, export: Record) -> Record:
    info, document = task.info, sample.document
    prompt = cut_sample(task, sample, model)
    ids = [*prompt.context, *prompt.question]
    record = {
        "task": info.name,
        "version": info.version,
        "length": task.length,
        "ordinal": sample.ordinal,
        "data_revision": task.data_revision,
        **export,
        "context": document["context"],
        "question": document["question"],
        "answer_prefix": document["answer_prefix"],
        "prompt": sample.prompt,
        "answers": list(document["outputs"]),
        "all_classes": list(document["all_classes"]),
        "generation": dict(sample.generation),
        "more": own_fields(document),
        "n_prompt_tokens": len(ids),
        "ids_hash": content_hash(ids),
        "prompt_hash": sample.prompt_hash,
        "generation_hash": sample.generation_hash,
        "sample": sample_id(info.name, info.version, sample.prompt, sample.generation, sample.ordinal),
    }
    return {"hash": content_hash(record), **record}


def read_task(folder: Path, info: TaskInfo, length: int | None, seed: int, limit: int) -> LoadedTask:
    """A task with the samples of a folder.

    Raises:
        UserError: they are not there, were changed, or are not the ones that the run would make.
    """
    records = _records(folder, info, length)
    path, first = folder / file_name(info.name, length), records[0]
    wanted = {"task": info.name, "version": info.version, "length": length, "seed": seed}
    for number, record in enumerate(records, start=1):
        _check_line(f"{path}, line {number}", record, number - 1, wanted, first)
    if len(records) < min(limit, first["n"]) or len(records) > first["n"]:
        raise UserError(f"{path} holds {len(records)} of the {first['n']} samples of its export; export them anew.")
    if first["asked"] <= first["n"] < limit:  # fewer than asked for: the data have no more
        raise UserError(f"{path} holds {first['n']} samples, and {limit} are asked for; give a smaller --limit.")
    documents = [_document(record) for record in records[:limit]]
    return given_task(info.name, length, seed, Samples(documents, first["data_revision"]))


def check_prompts(folder: Path, task: LoadedTask, samples: Sequence[RenderedSample], model: PromptModel) -> None:
    """Hold what this model is put against what was exported.

    Raises:
        UserError: the chat template, the tokenizer or the generation arguments are others.
    """
    path = folder / file_name(task.info.name, task.length)
    for record, sample in zip(_records(folder, task.info, task.length), samples, strict=False):
        if record["generation_hash"] != sample.generation_hash:
            raise UserError(
                f"{path}, line {sample.ordinal + 1}: {task.info.name} has other generation arguments than when it was "
                "exported; export them anew."
            )
        same_prompt = record["prompt_hash"] == sample.prompt_hash
        if same_prompt and record["ids_hash"] == content_hash(encode(model.tokenizer, sample.prompt, task.info.chat)):
            continue
        what = "tokenizer" if same_prompt else "chat template"
        raise UserError(
            f"{path} was exported for {record['model']}, whose {what} is not that of {model.name}; export the samples "
            f"again with --model {model.name} and --thinking as in the run."
        )


def _records(folder: Path, info: TaskInfo, length: int | None) -> list[Record]:
    path = folder / file_name(info.name, length)
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}).") from error
    if lines is None:
        raise UserError(f"--samples {folder} holds no {path.name}; write it with `lukv-bench tasks export`.")
    return [verified(f"{path}, line {number}", line) for number, line in enumerate(lines, start=1)]


def _check_line(where: str, record: Record, ordinal: int, wanted: Record, first: Record) -> None:
    """One export wrote every line, in order, and it is the one that the run would make."""
    for name, value in wanted.items():
        if record[name] != value:
            raise UserError(f"{where} was exported with {name} {record[name]}, and this run has {value}.")
    if record["ordinal"] != ordinal:
        raise UserError(
            f"{where} holds sample {record['ordinal']}, and the samples are expected in order, {ordinal} here; export "
            "them anew."
        )
    for name in ALIKE:
        if record[name] != first[name]:
            raise UserError(f"{where} is of another export than line 1 (another {name}); export them anew.")


def _document(record: Record) -> Any:
    """A document as its task's loader made it."""
    return {
        "task": record["task"],
        "index": record["ordinal"],
        "context": record["context"],
        "question": record["question"],
        "answer_prefix": record["answer_prefix"],
        "outputs": record["answers"],
        "all_classes": record["all_classes"],
        **record["more"],
    }
