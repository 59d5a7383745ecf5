"""A context evicted from Python, as a script or a notebook does it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.api.model import TemplateLM
from transformers import AutoModelForCausalLM, AutoTokenizer

import lukv_bench as lb

TEXT = " ".join(f"The key of box {number} is {number * 7919 % 1000}." for number in range(40))
QUESTION = "What is the key of box 7?"


@pytest.fixture
def model(slow: Path) -> lb.Model:
    return lb.load(str(slow), progress=False)


def prompt_of(tokenizer: Any, question: str) -> str:
    turn = [{"role": "user", "content": f"{TEXT}\n\n{question}"}]
    return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))


def test_a_method_keeps_its_budget_and_its_positions_are_those_counted(model: lb.Model) -> None:
    cache = model.evict(TEXT, allocator="adakv", scorer="keydiff", ratio=0.5, progress=False)
    shape = model.loaded.shape
    assert cache.counts.shape == (shape.n_layers, shape.n_kv_heads)
    assert cache.counts.sum() == shape.n_layers * shape.n_kv_heads * (cache.n_tokens // 2)
    assert cache.kv_bytes == cache.counts.sum() * 2 * shape.head_dim * 4
    assert cache.kv_bytes_full == shape.n_layers * shape.n_kv_heads * cache.n_tokens * 2 * shape.head_dim * 4
    for layer in range(shape.n_layers):
        for head in range(shape.n_kv_heads):
            positions = cache.positions(layer, head)
            assert len(positions) == cache.counts[layer, head]
            assert (positions[1:] > positions[:-1]).all()
    assert repr(cache).startswith("<adakv x keydiff @ 0.5: ")


def test_questions_leave_no_trace_in_the_evicted_context(model: lb.Model) -> None:
    cache = model.evict(TEXT, allocator="uniform", ratio="0.5", progress=False)
    questions = [QUESTION, "Name the keys of boxes 3 and 30.", "Why?"]
    first = [cache.generate(question, max_new_tokens=12) for question in questions]
    again = [cache.generate(question, max_new_tokens=12) for question in reversed(questions)]
    assert first == again[::-1]
    assert len(set(first)) > 1


def test_the_full_cache_answers_and_scores_as_transformers_does(model: lb.Model, slow: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(slow)
    own = AutoModelForCausalLM.from_pretrained(slow, dtype=torch.float32)
    ids = tokenizer(prompt_of(tokenizer, QUESTION), add_special_tokens=False, return_tensors="pt")["input_ids"]
    answered = own.generate(ids, do_sample=False, max_new_tokens=12)[0, ids.shape[1] :]
    cache = model.evict(TEXT, allocator="full", progress=False)
    assert cache.generate(QUESTION, max_new_tokens=12) == tokenizer.decode(answered, skip_special_tokens=True)

    answer = tokenizer("553 or 12", add_special_tokens=False, return_tensors="pt")["input_ids"]
    logits = own.double()(torch.cat([ids, answer], dim=1)).logits[0, ids.shape[1] - 1 : -1]
    expected = logits.detach().log_softmax(-1).gather(-1, answer[0].unsqueeze(-1)).sum()
    assert cache.log_likelihood(QUESTION, "553 or 12") == pytest.approx(float(expected), abs=1e-3)


def test_an_answer_is_tokenised_with_its_prompt_as_lm_eval_does(slow: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(slow, tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    question, answer = "Name the key of box 7. It is in ", "the box"
    pair = SimpleNamespace(
        backend="causal", tok_encode=lambda text: tokenizer(text, add_special_tokens=False).input_ids
    )
    prompt, scored = TemplateLM._encode_pair(pair, f"{TEXT}\n\n{question}", answer)
    assert scored != pair.tok_encode(answer), "a seam at which nothing changes tests nothing"

    own = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    logits = own(torch.tensor([[*prompt, *scored]])).logits[0, len(prompt) - 1 : -1]
    expected = logits.detach().log_softmax(-1).gather(-1, torch.tensor(scored).unsqueeze(-1)).sum()
    cache = lb.load(str(folder), progress=False).evict(TEXT, allocator="full", progress=False)
    assert cache.log_likelihood(question, answer) == pytest.approx(float(expected), abs=1e-3)


def test_an_answer_ends_before_a_stop_string(model: lb.Model) -> None:
    cache = model.evict(TEXT, allocator="uniform", progress=False)
    whole = cache.generate(QUESTION, max_new_tokens=12)
    part = whole[len(whole) // 2 :][:2]
    assert cache.generate(QUESTION, max_new_tokens=12, stop=part) == whole.partition(part)[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": " "}, "the context is empty"),
        ({"ratio": 1.0}, "ratio is the share pruned"),
        ({"ratio": 0.5, "keep_tokens": 9}, "give either ratio or keep_tokens"),
        ({"keep_tokens": 1}, "keep_tokens|budget"),
        ({"allocator": "lukw"}, "lukv"),
        ({"allocator": "uniform,adakv"}, "one allocator and one scorer"),
        ({"context": TEXT * 40}, "positions|and .* has"),
    ],
)
def test_what_cannot_be_evicted_is_refused_in_one_sentence(
    options: dict[str, Any], message: str, model: lb.Model
) -> None:
    with pytest.raises(lb.UserError, match=message) as refused:
        model.evict(**{"context": TEXT, "allocator": "uniform", "progress": False, **options})
    assert "--" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"context": None},
        {"context": ["a", "text"]},
        {"allocator": None},
        {"allocator": ["uniform"]},
        {"scorer": b"keydiff"},
        {"ratio": [0.5]},
        {"ratio": True},
        {"keep_tokens": [20, 30]},
        {"keep_tokens": "20"},
        {"sink": 1.5},
        {"window": "2"},
        {"seed": None},
        {"seed": 2**64},
        {"room": [4]},
        {"progress": "no"},
    ],
    ids=str,
)
def test_an_argument_of_another_type_is_refused_by_its_name(options: dict[str, Any], model: lb.Model) -> None:
    (name,) = options
    with pytest.raises(lb.UserError, match=rf"^{name} (takes|is) .+\.( 0.8 keeps a fifth\.)?$") as refused:
        model.evict(**{"context": TEXT, "allocator": "uniform", "progress": False, **options})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "options", [{"model": None}, {"model": 3}, {"device": 0}, {"dtype": torch.float32}, {"thinking": "no"}], ids=str
)
def test_load_refuses_an_argument_of_another_type_by_its_name(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(lb.UserError, match=rf"^{name} (takes|is) .+\.$"):
        lb.load(**{"progress": False, **options})


def test_questions_and_answers_of_another_type_are_refused_by_their_names(model: lb.Model) -> None:
    cache: Any = model.evict(TEXT, allocator="uniform", progress=False)
    for name, call in {
        "question": lambda: cache.generate(None),
        "max_new_tokens": lambda: cache.generate(QUESTION, max_new_tokens=2.5),
        "stop": lambda: cache.generate(QUESTION, stop=[3]),
        "question ": lambda: cache.log_likelihood(7, "1"),
        "answer": lambda: cache.log_likelihood(QUESTION, 553),
    }.items():
        with pytest.raises(lb.UserError, match=rf"^{name.strip()} takes a (text|whole number), not .+\.$"):
            call()


def test_bad_questions_are_refused_and_the_context_serves_on(model: lb.Model) -> None:
    cache = model.evict(TEXT, allocator="uniform", progress=False)
    before = cache.generate(QUESTION, max_new_tokens=8)
    for question, options in ((" ", {}), (QUESTION, {"max_new_tokens": 0}), (QUESTION, {"max_new_tokens": 10**6})):
        with pytest.raises(lb.UserError):
            cache.generate(question, **options)
    with pytest.raises(lb.UserError, match="empty"):
        cache.log_likelihood(QUESTION, "")
    assert cache.generate(QUESTION, max_new_tokens=8) == before


def test_a_scorer_that_fails_is_named(model: lb.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from lukv_bench.scorers.keydiff import KeyDiff

    def fail(*_: object) -> None:
        raise ArithmeticError("no direction")

    monkeypatch.setattr(KeyDiff, "score", fail)
    with pytest.raises(lb.PluginError, match=r"keydiff.*no direction"):
        model.evict(TEXT, allocator="uniform", progress=False)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_context_serves_on_after_an_interrupt_in_the_middle_of_a_forward_pass(
    layer: int, model: lb.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.bench.engine.cache import StoreLayer

    cache = model.evict(TEXT, allocator="uniform", ratio=0.5, progress=False)
    before = cache.generate(QUESTION, max_new_tokens=8)
    update, steps = StoreLayer.update, list(range(3))

    def interrupt(self: StoreLayer, *arguments: Any, **options: Any) -> Any:
        if self.index == layer and not steps.pop():
            raise KeyboardInterrupt
        return update(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(StoreLayer, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            cache.generate(QUESTION, max_new_tokens=8)
    assert cache.generate(QUESTION, max_new_tokens=8) == before


@pytest.mark.parametrize("options", [{"room": -1}, {"room": 2.5}, {"keep_tokens": 20.5}])
def test_numbers_that_are_no_counts_are_refused(options: dict[str, Any], model: lb.Model) -> None:
    (name,) = options
    with pytest.raises(lb.UserError, match=name):
        model.evict(TEXT, allocator="uniform", progress=False, **options)


def test_a_head_that_is_not_there_is_an_index_error(model: lb.Model) -> None:
    cache = model.evict(TEXT, allocator="uniform", ratio=0.5, progress=False)
    n_heads = model.loaded.shape.n_kv_heads
    assert (cache.positions(0, -1) == cache.positions(0, n_heads - 1)).all()
    with pytest.raises(IndexError):
        cache.positions(0, n_heads)


def test_an_answer_beyond_the_length_that_a_context_was_rotated_for_is_refused(slow: Path, tmp_path: Path) -> None:
    folder = tmp_path / "longrope"
    shutil.copytree(slow, folder)
    config = json.loads((folder / "config.json").read_text())
    n_factors = config["hidden_size"] // config["num_attention_heads"] // 2
    factors = {"short_factor": [1.0] * n_factors, "long_factor": [4.0] * n_factors}
    switch = {"original_max_position_embeddings": 480}
    config["rope_parameters"] = {"rope_type": "longrope", "rope_theta": 10000.0, **factors, **switch}
    (folder / "config.json").write_text(json.dumps(config))
    loaded = lb.load(str(folder), progress=False)
    short = loaded.evict(TEXT, allocator="uniform", ratio=0.5, room=4, progress=False)
    assert short.n_tokens < 470
    with pytest.raises(lb.UserError, match=r"evict it with room=\d+") as refused:
        short.generate(QUESTION, max_new_tokens=60)
    room = int(str(refused.value).rpartition("room=")[2].rstrip("."))
    long = loaded.evict(TEXT, allocator="uniform", ratio=0.5, room=room, progress=False)
    assert long.generate(QUESTION, max_new_tokens=60)
