"""RULER's needle tasks: values hidden under keys in a long text, to be repeated when the keys are named.

Source: RULER (arXiv 2404.06654, section 3.1); NVIDIA/RULER, scripts/data/synthetic/niah.py.
Differs from RULER: every sample has its own random generator; keys and values never repeat within
a sample; which needle goes to which depth is random (RULER's order is one fixed permutation); every
sample is filled separately to the last 1% or unit (RULER finds one size and uses it for all); what is
filled is the rendered prompt, chat template included.
"""

from ..definitions import Definition
from ..request import Documents, Request
from .drafts import Knobs, Materials, NeedleDraft, draft
from .filling import filled


def documents(definition: Definition, request: Request) -> Documents:
    """The task's documents; the first raises UserError with a length that is enough where the length is too short."""
    knobs = Knobs(**definition["dataset_kwargs"])
    materials = Materials.gather(knobs, request)

    def drawn(length: int, index: int) -> NeedleDraft:
        return draft(knobs, materials, request.task, (knobs.draws_as or request.task, length, request.seed, index))

    return Documents(filled(definition, request, drawn), materials.revision())
