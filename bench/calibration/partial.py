"""Records of an interrupted calibration: a file for each finished text, kept for a month."""

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
"""Seconds after which the records of an unfinished calibration are deleted."""

SHARED = ("importance", "keys", "values", "hidden_states", "replay", "utility")
"""What several targets read alike."""


@dataclass(frozen=True)
class Partial:
    """The finished texts of one calibration, kept in the cache folder until its profiles are saved.

    Attributes:
        key: Hash of everything that determines the records except the texts.
    """

    folder: Path
    key: str

    def load(self, document: Document, reads: Mapping[str, CalibrationReads]) -> dict[str, CalibrationDocument] | None:
        """The records of a text for each target; None if they are missing, for other targets or damaged.

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
                    protected=arrays[f"protected.{name}"],
                    **{of: arrays[of] if getattr(one, of) else None for of in SHARED},
                )
                for name, one in reads.items()
            }
        except (OSError, SafetensorError, KeyError):
            return None

    def save(self, document: Document, recorded: Mapping[str, CalibrationDocument]) -> None:
        """Save the records of a text, completely or not at all; data shared by several targets is saved once.

        Raises:
            UserError: the cache folder cannot be written to.
        """
        arrays: dict[str, Tensor | None] = {}
        for name, one in recorded.items():
            arrays |= {f"scores.{name}": one.scores, f"protected.{name}": one.protected}
            arrays |= {of: tensor for of in SHARED if (tensor := getattr(one, of)) is not None}
        content = save({name: tensor.contiguous() for name, tensor in arrays.items() if tensor is not None})
        write_whole(
            self._place(document), "the calibration's place in the cache,", lambda path: path.write_bytes(content)
        )

    def clear(self) -> None:
        """Delete the records, once the profiles are saved."""
        for path in filter(self._is_own, self.folder.glob("*-*.safetensors")):
            path.unlink(missing_ok=True)

    def clear_abandoned(self) -> None:
        """Delete old records of other calibrations."""
        for path in self.folder.glob("*-*.safetensors"):
            with suppress(OSError):  # another process has deleted it, or it belongs to another user
                if time.time() - path.stat().st_mtime > ABANDONED_S and not self._is_own(path):
                    path.unlink()

    def _is_own(self, path: Path) -> bool:
        return path.name.startswith(f"{self.key[:16]}-")

    def _place(self, document: Document) -> Path:
        return self.folder / f"{self.key[:16]}-{document.sha256[:16]}.safetensors"
