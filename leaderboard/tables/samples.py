"""The samples of a task, as a list to choose from."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .. import text

LIST_COLUMNS = ("ordinal", "length", "n_answers", "score", "references", "facets", "sample")


def sample_table(found: pd.DataFrame) -> pd.DataFrame:
    """The list with LIST_COLUMNS, several references in one text, and so the facets.

    Args:
        found: The samples of `search_samples`.
    """
    lines = pd.Series(map(references_line, found["references"]), index=found.index, dtype="object")
    facets = pd.Series(map(facets_line, found["facets"]), index=found.index, dtype="object")
    return found.assign(references=lines, facets=facets)[list(LIST_COLUMNS)]


def references_line(references: Any) -> str | None:
    """Everything that counts as right, in one text; None where the record keeps none."""
    if references is None or references == []:
        return None
    return " | ".join(map(text.text_of, references)) if isinstance(references, list) else text.text_of(references)


def facets_line(facets: Any) -> str | None:
    """What a task says of a sample, in words: "depths 0.38, 0.5; hops 2"; None where it says nothing."""
    if not isinstance(facets, dict):
        return None if facets is None else text.text_of(facets)
    values = {
        name: ", ".join(map(text.text_of, each)) if isinstance(each, list) else text.text_of(each)
        for name, each in facets.items()
    }
    return "; ".join(f"{name} {value}" for name, value in values.items()) or None


def sample_title(row: Mapping[Any, Any]) -> str:
    """A sample by its number and the beginning of what counts as right."""
    references = references_line(row["references"])
    return f"sample {row['ordinal']}" + ("" if references is None else f": {text.line(references, 40)}")
