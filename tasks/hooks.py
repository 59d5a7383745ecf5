"""Functions that definitions name by `!function` and that need the datasets library."""

from collections.abc import Sequence

from datasets import Dataset

from .document import Document


def as_dataset(*, documents: Sequence[Document], **_: object) -> dict[str, Dataset]:
    """lm-eval's custom_dataset: the documents that load.py made, as the test split."""
    return {"test": Dataset.from_list(list(documents))}
