"""Own documents with several questions on one context, for tests of what becomes of a group that is cut short."""

import json
from pathlib import Path

TEXT = "The keeper of light {n} wrote: the lamp burnt all night, and boat {m} came at nine from the quay of stone. "
ASKED = ("Who wrote?", "When did the boat come?", "What is the quay made of?", "Which boat was it?", "Why?")


def write_questions(path: Path, questions: tuple[int, ...], n_sentences: int = 12) -> Path:
    """A JSONL file with a context for each number of questions about it."""
    rows = [
        {
            "context": "".join(TEXT.format(n=number, m=7 * each) for each in range(n_sentences)),
            "questions": [f"{number}: {ASKED[each]}" for each in range(n_questions)],
            "answers": ["the"] * n_questions,
        }
        for number, n_questions in enumerate(questions)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path
