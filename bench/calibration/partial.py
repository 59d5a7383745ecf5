"""What an interrupted calibration leaves: a file for each text that was done, kept for a month."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ...scorers.base import CalibrationDocument, CalibrationReads
from ..files.access import write_whole
from .documents import Document

ABANDONED_S = 30 * 24 * 3600
"""Seconds after which a calibration that nobody went on with is let go of."""


@dataclass(frozen=True)
class Partial:
    """The texts of one calibration that are done, in the cache folder until its profiles are.

    Attributes:
        key: Hash of all that decides what a calibration records, but for the texts.
    """

    folder: Path
    key: str

    def load(self, document: Document, reads: Mapping[str, CalibrationReads]) -> dict[str, CalibrationDocument] | None:
        """What was recorded of a text for each target; None where it was for others, or its file is damaged.

        Args:
            document: The text.
            reads: What each target reads, by name.
        """
        try:
            arrays = load_file(self._place(document))
            if {name for name in arrays if name.startswith("protected.")} != {f"protected.{name}" for name in reads}:
                return None
            return {
                name: CalibrationDocument(
                    scores=arrays[f"scores.{name}"] if one.scores else None,
                    importance=arrays["importance"] if one.importance else None,
                    protected=arrays[f"protected.{name}"],
                    keys=arrays["keys"] if one.keys else None,
                    values=arrays["values"] if one.values else None,
                )
                for name, one in reads.items()
            }
        except (OSError, SafetensorError, KeyError):
            return None

    def save(self, document: Document, recorded: Mapping[str, CalibrationDocument]) -> None:
        """Keep what was recorded of a text, whole or not at all; what several targets share once.

        Raises:
            UserError: the cache folder cannot be written to.
        """
        arrays: dict[str, Tensor | None] = {}
        for name, one in recorded.items():
            arrays |= {f"scores.{name}": one.scores, f"protected.{name}": one.protected}
            shared = {"importance": one.importance, "keys": one.keys, "values": one.values}
            arrays |= {of: tensor for of, tensor in shared.items() if tensor is not None}
        content = save({name: tensor.contiguous() for name, tensor in arrays.items() if tensor is not None})
        write_whole(
            self._place(document), "the calibration's place in the cache,", lambda path: path.write_bytes(content)
        )

    def clear(self) -> None:
        """Let go of it, once the profiles are saved."""
        for path in filter(self._is_own, self.folder.glob("*-*.safetensors")):
            path.unlink(missing_ok=True)

    def clear_abandoned(self) -> None:
        """Let go of what other calibrations left long ago."""
        for path in self.folder.glob("*-*.safetensors"):
            with suppress(OSError):  # another process was quicker, or it is another user's
                if time.time() - path.stat().st_mtime > ABANDONED_S and not self._is_own(path):
                    path.unlink()

    def _is_own(self, path: Path) -> bool:
        return path.name.startswith(f"{self.key[:16]}-")

    def _place(self, document: Document) -> Path:
        return self.folder / f"{self.key[:16]}-{document.sha256[:16]}.safetensors"
