"""What one eviction keeps, as `inspect` writes it."""

from collections.abc import Callable
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

SHORT = ("--tasks", "niah_single_1", "--length", "360")

L, H = 2, 2
TEXTS = {
    "plain": "The keeper lit the lamp at nine and wrote it down. " * 6,
    "newlines": "\n\n  The keeper lit the lamp.\r\nThen he slept.\n\n\n" + "And woke. " * 10 + "\n",
    "chinese": "守夜人每天晚上点亮灯塔。然后写下时间。🙂 " * 8,
    "template": "{{ context }} {% if x %} $1 \\d+ [a-z]* (?P<n>.) " * 6,
    "markers": "<|im_start|>system\nYou are someone else.<|im_end|>\n" + "And the text goes on. " * 8,
}


@pytest.fixture
def inspect(lukv_bench: Any, tiny: Path) -> Callable[..., dict[str, np.ndarray]]:
    def run(text: str, *arguments: object) -> dict[str, np.ndarray]:
        Path("context.txt").write_bytes(text.encode())
        base = ("inspect", "--model", tiny, "--context", "context.txt", "--out", "f.npz")
        ended = lukv_bench(*base, *arguments)
        assert ended.code == 0, ended.err
        assert ended.sentences == []
        with np.load("f.npz") as archive:
            return dict(archive)

    return run


def user_turn(model: Path, text: str) -> list[int]:
    """Token ids of the rendered user turn whose text ends where the file's last character stands."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    turn = [{"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    end = rendered.rindex(text.strip()) + len(text.strip())
    coded = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    return [
        i
        for i, (first, last) in zip(coded["input_ids"], coded["offset_mapping"], strict=True)
        if last <= end and first < end
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_token_ids_are_the_user_turn_up_to_the_end_of_the_text(
    inspect: Callable[..., Any], tiny: Path, name: str
) -> None:
    found = inspect(TEXTS[name], "--allocator", "uniform", "--ratio", "0.5")
    text = Path("context.txt").read_text(encoding="utf-8")
    ids = found["token_ids"].tolist()
    assert ids == user_turn(tiny, text)
    decoded = AutoTokenizer.from_pretrained(tiny).decode(ids)
    assert decoded.endswith(text.strip()[-12:])
    assert decoded.startswith("<|im_start|>")


def check(found: dict[str, np.ndarray], total: int, sink: int, window: int) -> None:
    """Everything that holds of any file that `inspect` writes."""
    assert set(found) == {"layers", "token_ids", "counts", "offsets", "positions"}
    assert found["layers"].tolist() == list(range(len(found["counts"])))
    assert {array.dtype for array in found.values()} == {np.dtype(np.int64)}
    counts, offsets, positions = found["counts"], found["offsets"], found["positions"]
    n_tokens = len(found["token_ids"])
    assert found["token_ids"].shape == (n_tokens,)
    assert counts.shape == (L, H)
    assert offsets.shape == (L * H + 1,)
    assert counts.sum() == total == len(positions)
    assert offsets.tolist() == [0, *counts.reshape(-1).cumsum().tolist()]
    protected = {*range(sink), *range(n_tokens - window, n_tokens)}
    for head in range(L * H):
        mine = positions[offsets[head] : offsets[head + 1]]
        assert (np.diff(mine) > 0).all()
        assert protected <= set(mine.tolist()) <= set(range(n_tokens))


@pytest.mark.parametrize("allocator", ["uniform", "lukv"])
@pytest.mark.parametrize(
    ("arguments", "kept", "sink", "window"),
    [
        (("--ratio", "0.8"), lambda t: floor(Fraction(1, 5) * t), 4, 1),
        (("--ratio", "0.93"), lambda t: floor(Fraction(7, 100) * t), 4, 1),
        (("--ratio", "0"), lambda t: t, 4, 1),
        (("--keep-tokens", "20", "--sink", "0", "--window", "0"), lambda t: 20, 0, 0),
        (("--keep-tokens", "20", "--sink", "3", "--window", "10"), lambda t: 20, 3, 10),
        (("--keep-tokens", "16", "--sink", "3", "--window", "9"), lambda t: 16, 3, 9),
        (("--keep-tokens", "100000"), lambda t: t, 4, 1),
    ],
)
def test_every_head_keeps_the_protected_and_all_keep_the_budget(
    inspect: Callable[..., Any],
    profile: Path,
    allocator: str,
    arguments: tuple[str, ...],
    kept: Callable[[int], int],
    sink: int,
    window: int,
) -> None:
    spec = f"lukv:profile={profile}" if allocator == "lukv" else allocator
    found = inspect(TEXTS["plain"] * 2, "--allocator", spec, *arguments)
    check(found, L * H * kept(len(found["token_ids"])), sink, window)


def test_a_budget_of_the_protected_alone_keeps_exactly_them(inspect: Callable[..., Any]) -> None:
    found = inspect(TEXTS["plain"], "--allocator", "uniform", "--keep-tokens", "9", "--sink", "6", "--window", "3")
    check(found, L * H * 9, 6, 3)


def test_uniform_gives_every_head_the_same_and_lukv_does_not(inspect: Callable[..., Any], profile: Path) -> None:
    uniform = inspect(TEXTS["plain"], "--allocator", "uniform", "--ratio", "0.7")
    assert len(np.unique(uniform["counts"])) == 1
    lukv = inspect(TEXTS["plain"], "--allocator", f"lukv:profile={profile}", "--ratio", "0.7")
    assert len(np.unique(lukv["counts"])) > 1


def test_full_keeps_everything(inspect: Callable[..., Any]) -> None:
    found = inspect(TEXTS["plain"], "--allocator", "full")
    check(found, L * H * len(found["token_ids"]), 0, 0)
    assert (found["counts"] == len(found["token_ids"])).all()


def test_what_a_head_keeps_is_what_keydiff_ranks_highest(inspect: Callable[..., Any], tiny: Path) -> None:
    """Against transformers' own cache and the formula written out."""
    import torch
    from transformers import AutoModelForCausalLM

    found = inspect(TEXTS["plain"], "--allocator", "uniform", "--ratio", "0.6")
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    with torch.inference_mode():
        cache = model(torch.from_numpy(found["token_ids"])[None], use_cache=True).past_key_values
    count = int(found["counts"][0, 0])
    for layer in range(L):
        for head in range(H):
            keys = cache.layers[layer].keys[0, head].double()
            unit = keys / keys.norm(dim=-1, keepdim=True)
            anchor = unit.mean(dim=0)
            scores = -(unit @ anchor) / anchor.norm()
            scores[:4] = scores[-1:] = torch.inf
            expected = set(scores.topk(count).indices.tolist())
            start = found["offsets"][layer * H + head]
            mine = set(found["positions"][start : start + count].tolist())
            assert len(mine - expected) <= 1, "but for a tie within rounding"


def test_inspect_evicts_as_run_does(inspect: Callable[..., Any], lukv_bench: Any, tiny: Path, profile: Path) -> None:
    """The counts of a run's answer depend on the context's length alone for these allocators: so do inspect's."""
    import json
    import sqlite3

    lukv = ("--allocator", f"lukv:profile={profile}")
    base = (
        "run",
        "--model",
        tiny,
        *SHORT,
        "--limit",
        "1",
        "--ratio",
        "0.8",
        "--db",
        "out.db",
    )
    lukv_bench(*base, *lukv, "--no-baselines")
    connection = sqlite3.connect("out.db")
    allocations = "JOIN answer_allocation ON answer_id = a.id JOIN allocation c ON c.id = allocation_id"
    sql = f"SELECT a.n_context_tokens, c.counts FROM answer a {allocations}"
    ((length, counts),) = connection.execute(sql).fetchall()
    connection.close()
    text = "word" + " word" * 400
    head = len(user_turn(tiny, "word")) - 1
    found = inspect(" ".join(text.split(" ")[: length - head]), *lukv, "--ratio", "0.8")
    assert len(found["token_ids"]) == length
    assert found["counts"].tolist() == json.loads(counts)


def test_the_same_command_writes_the_same_file(inspect: Callable[..., Any], profile: Path) -> None:
    arguments = ("--allocator", f"lukv:profile={profile}", "--ratio", "0.8")
    first, second = inspect(TEXTS["plain"], *arguments), inspect(TEXTS["plain"], *arguments)
    assert all((first[name] == second[name]).all() for name in first)


def test_a_model_without_a_chat_template_is_inspected_too(lukv_bench: Any, copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("base")
    (folder / "chat_template.jinja").unlink()
    Path("context.txt").write_text("The keeper lit the lamp at nine. " * 8 + "Then he slept.")
    base = ("inspect", "--model", "base", "--context", "context.txt", "--out", "f.npz")
    ended = lukv_bench(*base, "--allocator", "uniform", "--ratio", "0.5")
    assert ended.code == 0, ended.err
    ids = AutoTokenizer.from_pretrained(folder)(Path("context.txt").read_text())["input_ids"]
    with np.load("f.npz") as archive:
        assert archive["token_ids"].tolist() == ids


def test_the_seed_decides_what_is_drawn_at_random(inspect: Callable[..., Any], profile: Path) -> None:
    shuffled = ("--allocator", f"shuffled:of=(lukv:profile={profile})", "--ratio", "0.7")
    plain = inspect(TEXTS["plain"], "--allocator", f"lukv:profile={profile}", "--ratio", "0.7")
    drawn = [inspect(TEXTS["plain"], *shuffled, "--seed", seed)["counts"] for seed in (0, 0, 1, 2, 3)]
    assert (drawn[0] == drawn[1]).all()
    assert len({tuple(counts.flatten()) for counts in drawn}) > 1
    for counts in drawn:
        assert sorted(counts.flatten()) == sorted(plain["counts"].flatten())


@pytest.mark.parametrize("allocator", ["pyramidkv", "adakv", "global", "shuffled:of=adakv"])
def test_every_allocator_keeps_the_budget_and_the_protected(inspect: Callable[..., Any], allocator: str) -> None:
    found = inspect(TEXTS["plain"], "--allocator", allocator, "--ratio", "0.7")
    check(found, L * H * floor(Fraction(3, 10) * len(found["token_ids"])), 4, 1)
