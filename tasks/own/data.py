"""A task made of a user's own documents: named after their file, versioned by their content."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path

from ... import UserError
from ..catalog import TaskInfo, families, info_of, names
from ..definitions import definition_file
from ..evidence import EvidenceDocument, verbatim_spans
from .questions import Question, questions_of_rows, questions_of_texts
from .rows import csv_rows, jsonl_rows

METRICS = ("exact", "contains", "f1", "rouge", "code", "none")
TEXTS = (".txt", ".md")
SEPARATOR = "\n\n"
"""Between context and question in the user turn."""
LONGEST_NAME = 100


@dataclass(frozen=True)
class OwnData:
    """Questions about own documents, as a task.

    Attributes:
        info: The task. Its version names the metric and the hash of the content.
        questions: In order, those about the same context not necessarily together.
        revision: Hash of every context, question and reference.
        unused: Files of the folder that are of another kind, and were not read.
    """

    info: TaskInfo
    questions: tuple[Question, ...]
    revision: str
    unused: tuple[str, ...] = ()

    @cached_property
    def contexts(self) -> tuple[int, ...]:
        """For each question the number of its context."""
        numbers: dict[str, int] = {}
        return tuple(numbers.setdefault(question.context, len(numbers)) for question in self.questions)

    def document(self, index: int) -> EvidenceDocument:
        """A question as a sample, with the places where its answers stand verbatim."""
        question = self.questions[index]
        document = EvidenceDocument(
            task=self.info.definition,
            index=index,
            context=question.context,
            question=SEPARATOR + question.text,
            answer_prefix="",
            outputs=[] if self.info.needs_full else list(question.answers),
            all_classes=[],
            evidence=verbatim_spans(question.context, question.answers),
        )
        is_expected = len(question.answers) == 1 or self.info.definition == "own_contains"  # otherwise one of them is
        if is_expected and all(verbatim_spans(question.context, [answer]) for answer in question.answers):
            document["copied"] = list(question.answers)
        return document


def own_data(
    path: Path, questions: Sequence[str], metric: str | None, name: str | None, answer_tokens: int | None = None
) -> OwnData:
    """The task of a JSONL or CSV file, a text file, or a folder of text files.

    Args:
        path: The file or folder, with "~" expanded.
        questions: Asked of every text file; rows have their own.
        metric: One of `METRICS`; None = "contains" where there are references, else "none".
        name: Of the task; None = the file's, without its suffix.
        answer_tokens: The most tokens of an answer; None = the metric's.

    Raises:
        UserError: the file, a row or a name that cannot be used.
    """
    asked, unused = _questions(path, questions)
    metric = metric or ("contains" if any(question.answers for question in asked) else "none")
    if metric != "none":
        for question in asked:
            if not question.answers:
                raise UserError(
                    f"{question.place}: no answers, which --metric {metric} compares with; add them, or use --metric "
                    "none to compare with the full cache's answers."
                )
    revision = _hash(asked)
    file = definition_file(f"own_{metric}")
    if file is None:
        raise UserError(f"--metric is one of {', '.join(METRICS)}, not {metric!r}.")
    info = info_of(file)
    room = "" if answer_tokens is None else f"-{answer_tokens}"
    info = replace(
        info,
        name=task_name(path, name),
        version=f"{info.version}-{metric}{room}-{revision[:12]}",
        max_new_tokens=answer_tokens or info.max_new_tokens,
        summary=f"own documents: {_counted(len(asked), 'question')} on "
        f"{_counted(len({question.context for question in asked}), 'context')}",
    )
    return OwnData(info, tuple(asked), revision, tuple(unused))


def task_name(path: Path, name: str | None) -> str:
    """The name of the task: as given, or the file's without its suffix, other characters than letters, digits, dots and
    dashes as "_".

    Raises:
        UserError: it is a benchmark task's, or no name.
    """
    whole = path.resolve()
    stem = whole.name if whole.is_dir() else whole.stem
    chosen = re.sub(r"[^\w.-]+", "_", stem).strip("_.-") if name is None else name
    if re.fullmatch(r"\w[\w.-]*", chosen) is None or len(chosen) > LONGEST_NAME:
        raise UserError(
            f"--data-name takes letters, digits, dots and dashes, at most {LONGEST_NAME}, such as my-notes, not "
            f"{chosen!r}."
        )
    if chosen in names() or chosen in families():
        raise UserError(f"--data-name {chosen} is the name of a benchmark task; give the documents another.")
    return chosen


def _questions(path: Path, questions: Sequence[str]) -> tuple[list[Question], list[str]]:
    """All questions, and what of a folder was not read."""
    suffix = path.suffix.lower()
    if path.is_dir():
        texts, others = _texts_of(path)
        return questions_of_texts(texts, _asked(path, questions)), others
    if suffix in TEXTS:
        return questions_of_texts([path], _asked(path, questions)), []
    if suffix not in (".jsonl", ".csv"):
        raise UserError(
            f"--data {path} is of no kind that is read; name a .jsonl, .csv, .txt or .md file, or a folder."
        )
    if questions:
        raise UserError(f"--question is asked of text files; the rows of {path.name} have questions of their own.")
    rows = jsonl_rows(path) if suffix == ".jsonl" else csv_rows(path)
    return questions_of_rows(rows, path.parent), []


def _asked(path: Path, questions: Sequence[str]) -> Sequence[str]:
    if not questions:
        raise UserError(f"--data {path} holds text and no questions; ask some with --question TEXT.")
    return questions


def _texts_of(folder: Path) -> tuple[list[Path], list[str]]:
    """The text files of a folder by name, and the names of its other files."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"--data {folder} cannot be read ({error.strerror or error}).") from error
    texts = [path for path in files if path.suffix.lower() in TEXTS]
    if not texts:
        raise UserError(f"--data {folder} holds no .txt or .md file; put the texts there, or name a file.")
    return texts, [path.name for path in files if path not in texts]


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _hash(questions: Sequence[Question]) -> str:
    of_context = cache(lambda text: sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    rows = [[of_context(question.context), question.text, *question.answers] for question in questions]
    return sha256(json.dumps(rows).encode("utf-8")).hexdigest()[:16]
