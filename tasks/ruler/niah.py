"""RULER's needle tasks: values hidden under keys in a long text, to be told when the keys are named.

Source: RULER (arXiv 2404.06654, section 3.1); NVIDIA/RULER, scripts/data/synthetic/niah.py.
Differs from RULER: every sample has a random generator of its own; keys and values never repeat within
a sample; which needle goes to which depth is random (RULER's order is one fixed permutation); every
sample is filled by itself to the last 1% or unit (RULER finds one size and uses it for all); what is
filled is the rendered prompt, chat template included.
"""

from ... import UserError
from ..definitions import Definition
from ..document import Document, user_text
from ..request import Request, Samples
from ..sizing import Size, largest_fit, least_length
from .drafts import Draft, Knobs, Materials, draft


def samples(definition: Definition, request: Request) -> Samples:
    """The documents of one needle task; a UserError names the least length if the one asked is less."""
    knobs = Knobs(**definition["dataset_kwargs"])
    materials = Materials.gather(knobs, request.essay_archive)
    answer: int = definition["generation_kwargs"]["max_gen_toks"]

    def drafts(length: int) -> list[Draft]:
        return [draft(knobs, materials, (request.task, length, request.seed, index)) for index in range(request.limit)]

    def needed(length: int) -> int:
        return answer + max(_start(sketch, request).tokens for sketch in drafts(length))

    asked = request.asked_length
    room = asked - answer
    sketches = drafts(asked)
    starts = [_start(sketch, request) for sketch in sketches]
    if max(start.tokens for start in starts) > room:
        raise UserError(_too_short(request, least_length(needed, asked)))
    documents: list[Document] = []
    for sketch, start in zip(sketches, starts, strict=True):
        documents.append(_filled(sketch, start, room, request))
        request.tell(len(documents))
    return Samples(documents, materials.revision())


def _start(sketch: Draft, request: Request) -> Size:
    return Size(sketch.fewest, _tokens(sketch.document(sketch.fewest), request))


def _filled(sketch: Draft, start: Size, room: int, request: Request) -> Document:
    units = largest_fit(
        lambda units: _tokens(sketch.document(units), request),
        start,
        room=room,
        first_step=sketch.haystack.first_step,
    )
    return sketch.document(units)


def _tokens(document: Document, request: Request) -> int:
    return request.count_prompt(user_text(document), document["answer_prefix"])


def _too_short(request: Request, least: int) -> str:
    return (
        f"{request.task} does not fit into {request.length} tokens: with this tokenizer "
        f"{request.limit} samples need a length of at least {least}."
    )
