"""A part of the samples of a run, for jobs that know nothing of each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ... import UserError
from ..record.hashing import content_hash

MOST_SHARDS = 10**6


@dataclass(frozen=True)
class Shard:
    """Part `index` (1, 2, ..., `of`) of all samples. All parts together hold each sample once.

    A sample's part depends on its task, length, seed and number alone: another method or a larger limit moves none.
    All configurations of a sample are in one part, where they share its prefill.
    """

    index: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str | None) -> "Shard":
        """Read "2/8"; None is all samples.

        Raises:
            UserError: it is not of this form, or the part is not among its parts.
        """
        if text is None:
            return WHOLE
        match = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text.strip(), re.ASCII)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST_SHARDS:
            raise UserError(
                f"--shard takes a part and the number of parts, such as 2/8 for the second of eight, not {text!r}."
            )
        return cls(int(match[1]), int(match[2]))

    def ordinals(
        self, task: str, length: int | None, seed: int, n_samples: int, contexts: Sequence[int] | None = None
    ) -> set[int]:
        """The samples of a task that are in this part. Tasks begin in different parts, so that few samples of many
        tasks are spread evenly. Samples on one context, given its number for each, are in one part."""
        first = int(content_hash([task, length, seed])[:8], 16)
        places = range(n_samples) if contexts is None else contexts
        return {ordinal for ordinal, place in enumerate(places) if (first + place) % self.of == self.index - 1}


WHOLE = Shard()
"""All samples."""
