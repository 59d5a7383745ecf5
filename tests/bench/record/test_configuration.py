"""Ids: the same content has the same id, and everything that may change a result is content."""

from typing import Any

import pytest
from pydantic import ValidationError

from lukv_bench import RESULTS_VERSION, __version__
from lukv_bench.bench.record.configuration import Configuration, PluginRecord, cell_id, sample_id
from lukv_bench.bench.record.hashing import content_hash

FIELDS: dict[str, Any] = {
    "model_revision": "a" * 64,
    "dtype": "float32",
    "protocol": "agnostic",
    "chat_form": "chat-1",
    "allocator": PluginRecord(name="lukv", arguments={"n": 1}, distribution="lukv-bench", version="1"),
    "scorer": PluginRecord(name="keydiff", arguments={}, distribution="lukv-bench", version="1"),
    "ratio": "0.8",
    "keep_tokens": None,
    "sink": 4,
    "window": 1,
    "profile_hash": "b" * 64,
    "seed": 0,
}
CHANGED: dict[str, Any] = {
    "model_revision": "c" * 64,
    "dtype": "bfloat16",
    "attention": "ragged-triton",
    "protocol": "aware",
    "chat_form": "plain",
    "truncation": "middle",
    "scorer": None,
    "ratio": "0.9",
    "keep_tokens": 5,
    "sink": 0,
    "window": 2,
    "schedule": "block-128",
    "profile_hash": None,
    "seed": 1,
    "code_version": "9+results.9",
    "rotation": "whole-sequence",
    "evicted_layers": (1, 3),
    "scored_logits": ("softcap",),
    "oracle": ("scorer",),
    "profiles": {"scorer": "d" * 64},
}
METHODS = [
    {"name": "other"},
    {"arguments": {"n": 2}},
    {"arguments": {"n": 1, "m": 1}},
    {"arguments": {"n": True}},
    {"arguments": {"n": "1"}},
    {"arguments": {}},
    {"distribution": "stranger"},
    {"version": "2"},
]


def configuration(**changed: Any) -> Configuration:
    return Configuration(**FIELDS | changed)


def test_the_same_content_has_the_same_id_whatever_its_order() -> None:
    backwards = Configuration(**dict(reversed(FIELDS.items())))
    assert configuration().id == backwards.id == configuration().id
    arguments = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    ids = {
        configuration(scorer=PluginRecord(name="s", arguments=a, distribution="d", version="1")).id for a in arguments
    }
    assert len(ids) == 1


def test_an_id_is_known_forever() -> None:
    """If this changes, every stored result is run again: raise RESULTS_VERSION instead where that is meant."""
    known = configuration(code_version="0.1.0+results.1")
    assert known.id == "c4db52af6b3de7340c3f309bc08a644208a8402159eb753efa0e75b5e23bb7c7"


@pytest.mark.parametrize("field", CHANGED)
def test_every_field_changes_the_id(field: str) -> None:
    assert configuration(**{field: CHANGED[field]}).id != configuration().id


def test_a_field_that_does_not_apply_is_in_no_record() -> None:
    assert "rotation" not in configuration().model_dump(mode="json")
    assert configuration(rotation="whole-sequence").model_dump(mode="json")["rotation"] == "whole-sequence"


def test_every_field_is_covered_here() -> None:
    assert set(CHANGED) | {"allocator"} == set(Configuration.model_fields)


@pytest.mark.parametrize("changed", METHODS, ids=str)
@pytest.mark.parametrize("kind", ["allocator", "scorer"])
def test_every_part_of_a_method_changes_the_id(kind: str, changed: dict[str, Any]) -> None:
    method = FIELDS["allocator"]
    ids = {configuration(**{kind: made}).id for made in (method, PluginRecord(**method.model_dump() | changed))}
    assert len(ids) == 2


def test_the_code_version_is_package_and_results_version_and_no_commit() -> None:
    assert configuration().code_version == f"{__version__}+results.{RESULTS_VERSION}"


def test_limit_is_in_no_id() -> None:
    names = {*Configuration.model_fields, *cell_id.__annotations__, *sample_id.__annotations__}
    assert not [name for name in names if "limit" in name or "samples" in name]
    with pytest.raises(ValidationError):
        configuration(limit=5)


def test_a_configuration_cannot_be_changed_behind_its_id() -> None:
    made = configuration()
    with pytest.raises(ValidationError):
        made.seed = 7  # type: ignore[misc]


def test_a_cell_is_told_by_task_version_data_and_length() -> None:
    asked: list[tuple[Any, ...]] = [
        ("niah", "1", "x", 1024),
        ("niah2", "1", "x", 1024),
        ("niah", "2", "x", 1024),
        ("niah", "1", "y", 1024),
        ("niah", "1", "x", 1025),
        ("niah", "1", "x", None),
    ]
    ids = [cell_id(configuration().id, *one) for one in asked] + [cell_id(configuration(seed=1).id, *asked[0])]
    assert len(set(ids)) == len(ids)
    assert cell_id(configuration().id, *asked[0]) == ids[0]


def test_a_sample_is_told_by_its_prompt_generation_and_ordinal() -> None:
    first = sample_id("t", "1", "prompt", {"max_gen_toks": 8, "until": []}, 0)
    assert first == sample_id("t", "1", "prompt", {"until": [], "max_gen_toks": 8}, 0)
    others = [
        sample_id("u", "1", "prompt", {"max_gen_toks": 8, "until": []}, 0),
        sample_id("t", "2", "prompt", {"max_gen_toks": 8, "until": []}, 0),
        sample_id("t", "1", "prompt ", {"max_gen_toks": 8, "until": []}, 0),
        sample_id("t", "1", "prompt", {"max_gen_toks": 9, "until": []}, 0),
        sample_id("t", "1", "prompt", {"max_gen_toks": 8, "until": []}, 1),
    ]
    assert len({first, *others}) == 6


def test_hashes_are_of_content_not_of_spelling() -> None:
    assert content_hash({"b": [1, "é"], "a": None}) == content_hash({"a": None, "b": [1, "é"]})
    assert content_hash("1") != content_hash(1) != content_hash(1.5)
    assert len(content_hash([])) == 64
    with pytest.raises(ValueError, match="JSON"):
        content_hash(float("nan"))
