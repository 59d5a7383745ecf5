"""RULER's score for retrieval: the share of references that stand in the answer."""

from collections.abc import Sequence

from .document import Document


def string_match_all(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean over texts of the share of their references found in them, case ignored; 0 to 1.

    Source: RULER (arXiv 2404.06654), NVIDIA/RULER scripts/eval/synthetic/constants.py.
    Differs from RULER: 0 to 1, where RULER reports 0 to 100 rounded to two decimals.
    """
    shares = [
        sum(reference.lower() in text.lower() for reference in wanted) / len(wanted)
        for text, wanted in zip(texts, references, strict=True)
    ]
    return sum(shares) / len(shares)


def score_answers(document: Document, texts: Sequence[str]) -> dict[str, float]:
    """The one metric of a sample, `score`, from the texts answered (lm-eval's process_results)."""
    return {"score": string_match_all(texts, [document["outputs"]] * len(texts))}
