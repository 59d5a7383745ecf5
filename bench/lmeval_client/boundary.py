"""Finds where the context of a prompt of lm-eval's tasks ends. Its document shows it; it is never guessed."""

import re
from collections.abc import Mapping
from typing import Any

from ... import UserError
from ..engine.prompt import end_of_context

RULER_QUESTIONS: Mapping[str, str] = {
    r"niah_.*": r"\nWhat (?:is|are all) the special magic ",
    r"ruler_vt": r"\nQuestion: Find all variables that are assigned the value ",
    r"ruler_cwe": r"\nQuestion: What are the 10 most common words ",
    r"ruler_fwe": r"\nQuestion: Do not provide any explanation",
    r"ruler_qa_.*": r"\n\nAnswer the question based on the given documents",
}
"""Task name -> how its question begins, for lm-eval's RULER documents, which hold the whole prompt in one field. The
last occurrence counts, since an example with its own question may precede it.

Source: lm_eval/tasks/ruler/{niah,vt,cwe,fwe,qa}_utils.py, the templates.
"""


def context_end(task: str, document: Mapping[str, Any], prompt: str, field: str | None = None) -> int | None:
    """The character at which the question begins, or None if the document does not show it.

    A document with a text field `context` ends its context there, found as in a run (the last occurrence in the
    prompt: few-shot examples stand in front). lm-eval's RULER tasks are known by name.

    Args:
        task: Its name.
        document: The document that the prompt was made from.
        prompt: The prompt, as passed to the model.
        field: The document's field that holds the context, where the user named one.

    Raises:
        UserError: the document has no such field; or it is a RULER prompt without its question, which would be evicted
            with it.
    """
    opening = next((regex for name, regex in RULER_QUESTIONS.items() if re.fullmatch(name, task)), None)
    if opening is not None and "input" in document:
        openings = list(re.finditer(opening, prompt))
        if not openings:
            raise UserError(f"a prompt of {task} does not hold RULER's question, so its context has no known end.")
        return openings[-1].start()
    context = document.get(field or "context")
    if field is not None and not isinstance(context, str):
        texts = ", ".join(name for name, value in document.items() if isinstance(value, str)) or "none"
        raise UserError(f"the documents of {task} have no text field {field!r} (context_field); they have: {texts}.")
    if not isinstance(context, str) or not context.strip():
        return None
    return end_of_context(prompt, context)
