"""Splits an original prompt template after its context."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_FIELD = re.compile(r"\{(\w+)\}")
_CONTEXT = "{context}"


class Prompt(NamedTuple):
    """A user turn in two parts; joined they are the original's prompt."""

    context: str
    """Everything up to the end of the text, instruction included."""
    question: str
    """The rest: final instruction, question, opening of the answer."""


def fill(template: str, fields: Mapping[str, str]) -> Prompt:
    """Puts a row's fields into a template that holds `{context}` once.

    The template is read once: braces in a row are only text.
    """
    before, _, behind = template.partition(_CONTEXT)
    return Prompt(_filled(before, fields) + fields["context"], _filled(behind, fields))


def _filled(template: str, fields: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda match: fields[match[1]], template)
