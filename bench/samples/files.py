"""Files of samples: written by `tasks export`, read and verified by `run --samples`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import UserError
from ...tasks.catalog import TaskInfo
from ...tasks.document import own_fields
from ...tasks.lazy import Lazy
from ...tasks.load import LoadedTask, contexts_of
from ..calibration.steps import Report
from ..engine.prompt import encode
from ..files.access import write_whole
from ..models.load import PromptModel
from ..record.configuration import sample_id
from ..record.hashing import content_hash
from .cut import cut_document
from .lines import verified
from .rendering import RenderedDocument, render_document

ALIKE = ("data_revision", "asked", "n", "model")
"""Fields that all lines of an export have in common, besides those that the run itself decides."""

Record = Mapping[str, Any]


def file_name(task: str, length: int | None) -> str:
    """The name of the file that holds a task's samples."""
    return f"{task}.jsonl" if length is None else f"{task}.{length}.jsonl"


def sample_lines(task: LoadedTask, model: PromptModel, limit: int, report: Report) -> Iterator[str]:
    """A task's samples, a JSON object a line.

    Raises:
        UserError: a sample cannot be made, or a run could not cut its prompt where the context ends.
    """
    n = len(task.documents)
    export = {"seed": task.seed, "asked": limit, "n": n, "model": model.title}
    for ordinal in range(n):
        report(f"making {task.info.name}", ordinal, n)
        rendered = render_document(task, ordinal, model.tokenizer)
        yield json.dumps(_record(task, rendered, model, export), ensure_ascii=False)


def write_samples(folder: Path, task: LoadedTask, lines: Sequence[str]) -> Path:
    """Write a task's samples; the file is written completely or not at all.

    Raises:
        UserError: the place cannot be written to.
    """
    path = folder / file_name(task.info.name, task.length)
    content = "".join(line + "\n" for line in lines)
    write_whole(path, "--out", lambda place: place.write_text(content, encoding="utf-8"))
    return path


def _record(task: LoadedTask, rendered: RenderedDocument, model: PromptModel, export: Record) -> Record:
    info, document = task.info, rendered.document
    prompt = cut_document(task, rendered, model)
    ids = [*prompt.context, *prompt.question]
    record = {
        "task": info.name,
        "version": info.version,
        "length": task.length,
        "ordinal": rendered.ordinal,
        "data_revision": task.data_revision,
        **export,
        "context": document["context"],
        "question": document["question"],
        "answer_prefix": document["answer_prefix"],
        "prompt": rendered.prompt,
        "answers": list(document["outputs"]),
        "all_classes": list(document["all_classes"]),
        "generation": dict(rendered.generation),
        "more": own_fields(document),
        "n_prompt_tokens": len(ids),
        "ids_hash": content_hash(ids),
        "prompt_hash": rendered.prompt_hash,
        "generation_hash": rendered.generation_hash,
        "sample": sample_id(info.name, info.version, rendered.prompt, rendered.generation, rendered.ordinal),
    }
    return {"hash": content_hash(record), **record}


@dataclass(frozen=True)
class SampleFile:
    """The samples of a task that were exported, and the task that they make.

    Attributes:
        records: A line each, verified.
    """

    path: Path
    task: LoadedTask
    records: Sequence[Record]

    def check_prompt(self, rendered: RenderedDocument, model: PromptModel) -> None:
        """Compare a prompt with the one that was exported.

        Raises:
            UserError: the chat template, the tokenizer or the generation arguments differ.
        """
        record, info = self.records[rendered.ordinal], self.task.info
        if record["generation_hash"] != rendered.generation_hash:
            raise UserError(
                f"{self.path}, line {rendered.ordinal + 1}: {info.name} has other generation arguments than when it "
                "was exported; export them again."
            )
        same_prompt = record["prompt_hash"] == rendered.prompt_hash
        if same_prompt and record["ids_hash"] == content_hash(encode(model.tokenizer, rendered.prompt, info.chat)):
            return
        what = "tokenizer" if same_prompt else "chat template"
        raise UserError(
            f"{self.path} was exported for {record['model']}, whose {what} is not that of {model.name}; export the "
            f"samples again with --model {model.name} and --thinking as in the run."
        )


def read_samples(folder: Path, info: TaskInfo, length: int | None, seed: int, limit: int) -> SampleFile:
    """The exported samples of a task, at most `limit`.

    Raises:
        UserError: they are missing, were changed, or are not those that the run would make.
    """
    path = folder / file_name(info.name, length)
    records = _records(path)
    own, first = {"task": info.name, "version": info.version, "length": length, "seed": seed}, records[0]
    for number, record in enumerate(records, start=1):
        _check_line(f"{path}, line {number}", record, number - 1, own, first)
    if len(records) < min(limit, first["n"]) or len(records) > first["n"]:
        raise UserError(f"{path} holds {len(records)} of the {first['n']} samples of its export; export them again.")
    if first["asked"] <= first["n"] < limit:  # fewer than asked for: the data have no more
        raise UserError(f"{path} holds {first['n']} samples, and {limit} are asked for; give a smaller --limit.")
    documents = Lazy(min(limit, len(records)), lambda index: _document(records[index]))
    contexts = contexts_of(info, len(documents))
    return SampleFile(path, LoadedTask(info, length, seed, first["data_revision"], documents, contexts), records)


def _records(path: Path) -> list[Record]:
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}).") from error
    if lines is None:
        raise UserError(f"--samples {path.parent} holds no {path.name}; write it with `lukv-bench tasks export`.")
    return [verified(f"{path}, line {number}", line) for number, line in enumerate(lines, start=1)]


def _check_line(where: str, record: Record, ordinal: int, own: Record, first: Record) -> None:
    """Check that a line is in order, of the same export as the first line, and what the run would make."""
    for name, value in own.items():
        if record[name] != value:
            raise UserError(f"{where} was exported with {name} {record[name]}, and this run has {value}.")
    if record["ordinal"] != ordinal:
        raise UserError(
            f"{where} holds sample {record['ordinal']}, and the samples are expected in order, {ordinal} here; export "
            "them again."
        )
    for name in ALIKE:
        if record[name] != first[name]:
            raise UserError(f"{where} belongs to another export than line 1 (its {name} differs); export them again.")


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
