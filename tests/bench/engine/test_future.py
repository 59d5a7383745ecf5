"""The future of a context, against the attention that plain transformers gives in float64."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.future import FutureScorer, NoReferenceError, read_future
from lukv_bench.bench.engine.importance import SeenLayers
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.bench.errors import WriteError
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.critical import Critical
from lukv_bench.scorers.oracle import Oracle

from ...tiny_model import make_model

L, HQ, H, D = 2, 6, 2, 16
G = HQ // H
IDS = torch.randint(10, 3000, (130,), generator=torch.Generator().manual_seed(4)).tolist()
CONTEXT, QUESTION, REFERENCE = IDS[:50], IDS[50:120], IDS[120:]
"""A question of more than one piece."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"num_attention_heads": HQ, "num_key_value_heads": H, "head_dim": D, "hidden_size": 96}
    return make_model(tmp_path_factory.mktemp("models") / "grouped", initializer_range=0.3, **sizes)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return ready_model(str(folder), torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def seen() -> SeenLayers:
    return SeenLayers()


@pytest.fixture(scope="module")
def context(loaded: LoadedModel, seen: SeenLayers) -> Context:
    return prefill(loaded, CONTEXT, {}, [seen.see], n_sequence=len(IDS))


@torch.no_grad()
def expected(folder: Path, rows: range) -> Tensor:
    """float64 [L, H, T] from one eager pass over everything, the formula written out."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    values: list[Tensor] = []
    for layer in model.model.layers:
        layer.self_attn.v_proj.register_forward_hook(lambda _m, _i, out: values.append(out[0, : len(CONTEXT)]))
    attentions = model(input_ids=torch.tensor([IDS]), output_attentions=True).attentions
    importance = torch.zeros(L, H, len(CONTEXT), dtype=torch.float64)
    for index, layer in enumerate(model.model.layers):
        weight = layer.self_attn.o_proj.weight  # [hidden, HQ x D]
        norms = torch.stack(
            [
                (values[index][:, q // G * D : (q // G + 1) * D] @ weight[:, q * D : (q + 1) * D].T).norm(dim=-1)
                for q in range(HQ)
            ]
        )
        norms /= norms.sum() + 1e-9
        for q in range(HQ):
            for row in rows:
                got = attentions[index][0, q, row, : len(CONTEXT)] * norms[q]
                importance[index, q // G] = torch.maximum(importance[index, q // G], got)
    return importance


@pytest.mark.parametrize("whole_question", [False, True])
def test_it_is_attention_times_projected_value_at_its_largest_over_rows_and_group(
    folder: Path, loaded: LoadedModel, context: Context, seen: SeenLayers, whole_question: bool
) -> None:
    future = read_future(loaded, context, seen, QUESTION, REFERENCE, 0, whole_question=whole_question)
    first = 50 if whole_question else 119
    assert future.importance.shape == (L, 1, H, 50)
    torch.testing.assert_close(
        future.importance[:, 0].double(), expected(folder, range(first, 129)), atol=1e-8, rtol=1e-4
    )


def test_the_oracle_s_table_is_the_future_and_one_around_it_reads_it_too(
    loaded: LoadedModel, context: Context, seen: SeenLayers
) -> None:
    future = read_future(loaded, context, seen, QUESTION, REFERENCE, 0)
    table = future.table(FutureScorer("oracle", Oracle(), 10))
    assert torch.equal(table, future.importance)
    around = future.table(FutureScorer("critical", Critical(Oracle()), 10))
    assert around.shape == table.shape
    assert not torch.equal(around, table)
    ranks = future.ranking(FutureScorer("oracle", Oracle(), 10), Protection(0, 0)).ranks
    assert torch.equal(ranks.argsort(dim=-1)[..., :3], table.topk(3).indices)


@dataclass(frozen=True)
class Writing:
    """Writes into what it is shown."""

    source: ClassVar[str] = "tests"
    protection: ClassVar[Protection] = Protection(0, 0)
    reads: ClassVar[Reads] = Reads(future=True)

    def score(self, layer: LayerView) -> Tensor:
        assert layer.future is not None
        return layer.future.fill_(1.0)


def test_a_scorer_that_writes_into_it_fails_alone(loaded: LoadedModel, context: Context, seen: SeenLayers) -> None:
    future = read_future(loaded, context, seen, QUESTION, REFERENCE, 0)
    before = future.importance.clone()
    with pytest.raises(WriteError, match="it changed the future of layer 0"):
        future.table(FutureScorer("writing", Writing(), 10))
    assert torch.equal(future.table(FutureScorer("oracle", Oracle(), 10)), before)


def test_without_a_reference_there_is_no_future(loaded: LoadedModel, context: Context, seen: SeenLayers) -> None:
    with pytest.raises(NoReferenceError, match="the sample has no reference answer"):
        read_future(loaded, context, seen, QUESTION, (), 0)
