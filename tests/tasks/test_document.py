from lukv_bench.tasks.document import Document, facets, own_fields

PLAIN = Document(
    task="t", index=0, context="c", question="q", answer_prefix="", outputs=["blue"], all_classes=["blue", "red"]
)


def test_a_plain_document_has_nothing_to_group_by() -> None:
    assert own_fields(PLAIN) == {}
    assert facets(PLAIN) == {}


def test_what_the_data_do_not_tell_is_no_facet() -> None:
    own = {"bucket": "4-8k", "id": "", "depths": [0.0, 0.5], "difficulty": None, "steps": 0}
    assert own_fields({**PLAIN, **own}) == own
    assert facets({**PLAIN, **own}) == {"bucket": "4-8k", "depths": [0.0, 0.5], "steps": 0}
