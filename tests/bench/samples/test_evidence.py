"""Which tokens of a fed context are evidence, against a count that decodes them one by one."""

from functools import partial
from typing import Any, cast

import pytest

from lukv_bench.bench.engine.prompt import encode, render, split
from lukv_bench.bench.engine.truncate import cut_middle
from lukv_bench.bench.samples.evidence import evidence_tokens
from lukv_bench.bench.samples.rendering import RenderedDocument, render_document
from lukv_bench.tasks.evidence import evidence_spans
from lukv_bench.tasks.load import load_task

from ...tiny_model import small_tokenizer


@pytest.fixture(scope="module", params=["niah_multikey_2", "vt"])
def rendered(request: pytest.FixtureRequest) -> list[RenderedDocument]:
    tokenizer = small_tokenizer()
    task = load_task(
        request.param,
        length=900,
        seed=1,
        limit=3,
        count_prompt=lambda user, prefix: len(encode(tokenizer, render(tokenizer, user, prefix))),
        essay_archive=partial(pytest.fail, "no essays are needed"),
    )
    return [render_document(task, ordinal, tokenizer) for ordinal in range(3)]


def marked_tokens(tokenizer: Any, sample: RenderedDocument, n_context: int) -> set[int]:
    """Tokens of the context with a character of the evidence, by decoding the prompt token by token."""
    document, ids = sample.document, encode(tokenizer, sample.prompt)
    begin = sample.prompt.index(document["context"])
    inside = {begin + at for start, end in evidence_spans(document) for at in range(start, end)}
    marked, done = set(), 0
    for place, token in enumerate(ids[:n_context]):
        size = len(tokenizer.decode([token]))
        if inside & {*range(done, done + size)}:
            marked.add(place)
        done += size
    return marked


def tokens(spans: Any) -> list[int]:
    return sorted({token for start, end in spans for token in range(start, end)})


def test_tokens_with_a_character_of_the_evidence_are_evidence(rendered: list[RenderedDocument]) -> None:
    tokenizer = small_tokenizer()
    for sample in rendered:
        prompt = split(tokenizer, sample.prompt, sample.document["context"])
        spans, events = evidence_tokens(tokenizer, sample, True, prompt)
        assert tokens(spans) == sorted(marked_tokens(tokenizer, sample, len(prompt.context)))
        assert events == []
        for (start, end), (first, last) in zip(spans, evidence_spans(sample.document), strict=True):
            assert sample.document["context"][first:last].strip() in tokenizer.decode(prompt.context[start:end])


@pytest.mark.parametrize("most", [820, 500, 260, 150])
def test_a_middle_that_is_cut_out_takes_its_evidence_along(rendered: list[RenderedDocument], most: int) -> None:
    tokenizer = small_tokenizer()
    for sample in rendered:
        whole = split(tokenizer, sample.prompt, sample.document["context"])
        cut = whole.within(most)
        spans, events = evidence_tokens(tokenizer, sample, True, cut)
        left = cut_middle(range(len(whole.context)), most - len(whole.question)).ids
        marked = marked_tokens(tokenizer, sample, len(whole.context))
        assert tokens(spans) == [place for place, old in enumerate(left) if old in marked]
        assert len(spans) == len(evidence_spans(sample.document)), "a span that is gone is empty"
        n_cut = len(marked) - len(marked & {*left})
        named = [{"event": "evidence_truncated", "n_cut": n_cut, "n_tokens": len(marked)}] if n_cut else []
        assert events == named


def test_a_document_without_marks_has_no_evidence(rendered: list[RenderedDocument]) -> None:
    sample = rendered[0]
    document = {name: value for name, value in sample.document.items() if name != "evidence"}
    plain = RenderedDocument(0, cast("Any", document), sample.prompt, {})
    prompt = split(small_tokenizer(), sample.prompt, sample.document["context"])
    assert evidence_tokens(small_tokenizer(), plain, True, prompt) == ((), [])
