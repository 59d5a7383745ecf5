"""What a sample says of itself beside its prompt."""

from lukv_bench.tasks.document import Document, facets, own_fields

PLAIN = Document(
    task="t", index=0, context="c", question="q", answer_prefix="", outputs=["blue"], all_classes=["blue", "red"]
)


def test_questions_about_one_context_share_a_document() -> None:
    assert own_fields(PLAIN) == {}
    plain = facets(PLAIN)
    assert facets({**PLAIN, "question": "another", "index": 7, "outputs": ["red"]}) == plain
    assert facets({**PLAIN, "context": "c "}).keys() == plain.keys() == {"document"}
    assert facets({**PLAIN, "context": "c "}) != plain
    assert facets({**PLAIN, "context": "half of a pair: \ud800"}) != plain
    assert facets({**PLAIN, "document": "the loader's"}) == {"document": "the loader's"}


def test_what_the_data_do_not_tell_is_no_facet() -> None:
    own = {"bucket": "4-8k", "id": "", "depths": [0.0, 0.5], "difficulty": None, "steps": 0}
    assert own_fields({**PLAIN, **own}) == own
    assert facets({**PLAIN, **own}) == facets(PLAIN) | {"bucket": "4-8k", "depths": [0.0, 0.5], "steps": 0}
