"""The same promises on the real default model."""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import pytest
from torch import Tensor

from lukv_bench.allocators.base import AllocationRequest, check_counts
from lukv_bench.allocators.uniform import Uniform
from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import evict, keep_everything, share
from lukv_bench.bench.engine.layouts import RAGGED, SHARED
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.kernels.select import select
from lukv_bench.scorers.keydiff import KeyDiff

NAMES = ["Ada", "Bruno", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katya", "Luis"]
TOWNS = ["Oslo", "Lima", "Cairo", "Kyoto", "Quito", "Dakar", "Perth", "Turin", "Minsk", "Accra", "Hanoi", "Malmo"]
TRADES = ["baker", "pilot", "doctor", "painter", "farmer", "nurse"]
STORY = " ".join(
    f"{name} is a {trade} who lives in {town} and has {n + 2} cats."
    for n, (name, town, trade) in enumerate(zip(NAMES, TOWNS, TRADES * 2, strict=True))
)
QUESTIONS = [
    "Where does Greta live?",
    "What is the trade of Hugo, and in which town is his home?",
    "Who lives in Oslo?",
]


@pytest.fixture(scope="module")
def prompts(smollm2: LoadedModel) -> tuple[list[int], list[list[int]]]:
    """The ids that all chat prompts share (the context), and the rest of each."""
    rendered = [
        smollm2.tokenizer.apply_chat_template(
            [{"role": "user", "content": f"{STORY} {STORY}\n\n{question} Answer in one sentence."}],
            add_generation_prompt=True,
            return_dict=True,
        )["input_ids"]
        for question in QUESTIONS
    ]
    n_shared = next(i for i, ids in enumerate(zip(*rendered, strict=False)) if len(set(ids)) > 1)
    assert 300 < n_shared < 600
    return rendered[0][:n_shared], [ids[n_shared:] for ids in rendered]


@pytest.fixture(scope="module")
def context(smollm2: LoadedModel, prompts: tuple[list[int], list[list[int]]]) -> Context:
    return prefill(smollm2, prompts[0], {"keydiff": KeyDiff()})


def test_ragged_masked_and_unsplit_logits_agree_over_300_to_600_tokens(
    smollm2: LoadedModel,
    prompts: tuple[list[int], list[list[int]]],
    context: Context,
    kept_at_random: Callable[..., Any],
    forced: type,
    unsplit_logits: Callable[..., Tensor],
) -> None:
    ids, (chunk, *_) = prompts
    answer = smollm2.tokenizer(" Greta lives in Perth").input_ids
    kept = kept_at_random(smollm2.shape, context.n_tokens, 1, 0)
    masks = [layer.mask for layer in kept]
    got = {}
    for name, cache in {"ragged": evict(context, kept, 64), "masked": SHARED.build(context, [kept], 64)}.items():
        teacher = forced([[token] for token in answer])
        decode(smollm2, cache, [chunk], Stop(len(answer), frozenset()), teacher)
        got[name] = teacher.seen[:, 0]
    expected = unsplit_logits(smollm2.model, [*ids, *chunk, *answer[:-1]], masks)[-len(answer) :]
    assert float((got["ragged"] - got["masked"]).abs().max()) < 1e-3
    assert float((got["ragged"] - expected).abs().max()) < 1e-3


def test_the_full_cell_answers_chat_prompts_as_generate_does(
    smollm2: LoadedModel,
    prompts: tuple[list[int], list[list[int]]],
    context: Context,
    assert_generates: Callable[..., None],
) -> None:
    ids, chunks = prompts
    for chunk in chunks:
        cache = evict(context, keep_everything(context), 64)
        (row,) = decode(smollm2, cache, [chunk], Stop(12, smollm2.eos)).rows
        assert len(row.ids) > 3
        assert not set(row.ids) & smollm2.eos
        assert row.text == smollm2.tokenizer.decode(row.ids)
        assert_generates(smollm2.model, [*ids, *chunk], row.ids, 12)


def test_questions_as_a_batch_answer_as_each_alone(
    smollm2: LoadedModel, prompts: tuple[list[int], list[list[int]]], context: Context
) -> None:
    _, chunks = prompts
    stop = Stop(12, smollm2.eos)
    together = decode(smollm2, share(context, len(chunks), 48), chunks, stop).rows
    assert len({tuple(row.ids) for row in together}) == len(chunks)
    for chunk, row in zip(chunks, together, strict=True):
        assert decode(smollm2, share(context, 1, 48), [chunk], stop).rows[0] == row


def test_configurations_as_a_batch_answer_as_each_alone_in_the_ragged_cache(
    smollm2: LoadedModel, prompts: tuple[list[int], list[list[int]]], context: Context
) -> None:
    chunk, stop = prompts[1][0], Stop(8, smollm2.eos)
    kept = [uniform_keydiff(smollm2, context, share_kept) for share_kept in (0.5, 0.3)]
    masked = decode(smollm2, SHARED.build(context, kept, 32), [chunk] * 2, stop).rows
    ragged = decode(smollm2, RAGGED.build(context, kept, 32), [chunk] * 2, stop).rows
    for one, *rows in zip(kept, masked, ragged, strict=True):
        alone = decode(smollm2, evict(context, one, 32), [chunk], stop).rows[0]
        assert rows == [alone, alone]


def uniform_keydiff(smollm2: LoadedModel, context: Context, share_kept: float) -> Sequence[Any]:
    """What KeyDiff keeps under equal head budgets, from the scorer's table to the kept positions."""
    shape, protected = smollm2.shape, KeyDiff.protection.mask(context.n_tokens)
    request = AllocationRequest(
        layers=tuple(range(shape.n_layers)),
        n_layers=shape.n_layers,
        n_batch=1,
        n_kv_heads=shape.n_kv_heads,
        n_tokens=context.n_tokens,
        budget=int(share_kept * context.n_tokens * shape.n_layers * shape.n_kv_heads),
        protected=protected,
    )
    counts = Uniform().allocate(request)
    check_counts(counts, request)
    kept = list(map(select, context.scores["keydiff"], counts, repeat(protected)))
    slots = evict(context, kept, 0).kv_bytes_by_row()[0] // (2 * shape.head_dim * 4)
    assert slots == request.budget
    return kept
