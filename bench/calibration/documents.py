"""Calibration documents: the built-in ones, or a user's own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ... import UserError
from ..files.access import read_text

BUILT_IN = ("narrative", "code", "records")
"""Three kinds of text. A single narrative is the likely reason why LU-KV's published profile loses to uniform on code
(its own table 5)."""


@dataclass(frozen=True)
class Document:
    """A text and the questions asked about it.

    Attributes:
        whole: Characters of the text before it was cut to a model's window; None if it was not cut.
    """

    name: str
    text: str
    questions: tuple[str, ...]
    whole: int | None = None

    @property
    def sha256(self) -> str:
        """Hash over text and questions."""
        return hashlib.sha256("\x00".join((self.text, *self.questions)).encode()).hexdigest()

    @property
    def record(self) -> dict[str, str | int]:
        """Its entry in a profile."""
        facts: dict[str, str | int] = {"name": self.name, "sha256": self.sha256, "questions": len(self.questions)}
        return facts if self.whole is None else facts | {"characters": len(self.text), "of_characters": self.whole}


def built_in_documents() -> tuple[Document, ...]:
    """The documents that ship with the package, written for calibration."""
    folder = resources.files("lukv_bench.bench") / "texts"
    return tuple(
        Document(
            name=name,
            text=(folder / f"{name}.txt").read_text(encoding="utf-8").strip(),
            questions=_lines((folder / f"{name}.questions.txt").read_text(encoding="utf-8")),
        )
        for name in BUILT_IN
    )


def read_documents(texts: Sequence[Path], questions: Sequence[Path]) -> tuple[Document, ...]:
    """A user's own documents, a text with a file of questions each.

    Raises:
        UserError: they do not come in pairs, or a file is missing, empty or not text.
    """
    if len(texts) != len(questions):
        raise UserError(
            f"--text and --questions come in pairs, and there are {len(texts)} and {len(questions)} of them."
        )
    return tuple(
        Document(name=text.name, text=_read(text, "--text"), questions=_lines(_read(file, "--questions")))
        for text, file in zip(texts, questions, strict=True)
    )


def _read(path: Path, option: str) -> str:
    text = read_text(path, option).strip()
    if not text:
        raise UserError(f"{option} {path} is empty; give a file with text in it.")
    return text


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
