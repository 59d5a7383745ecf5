"""What three cells cost from end to end: Llama-3.1-8B's shape with random weights made on the card, nothing fetched.

The engine is the suite's own, and so is the measurement: `run --cost` without a task and a database. Each cell passes
its gate first (the evicted cache against the full one behind a mask), or nothing of it is timed. Random weights cost
what trained ones do, and answer nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gpu_part import Check, Outcome, Place, Say
from gpu_unequal import VeryUnequal

from lukv_bench.allocators.full import Full
from lukv_bench.allocators.uniform import Uniform
from lukv_bench.bench.cost.measure import measure
from lukv_bench.bench.cost.request import CostSettings, Failed
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.method import Method
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.models.shape import read_shape
from lukv_bench.bench.plugins.plugin import Description, Plugin
from lukv_bench.bench.run.unit import Unit, UnitConfiguration
from lukv_bench.scorers.base import Protection
from lukv_bench.scorers.keydiff import KeyDiff

NAME = "Llama-3.1-8B's shape, random weights"
ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
SHAPE: dict[str, Any] = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "rope_parameters": {"rope_type": "llama3", "rope_theta": 500_000.0, **ROPE},
    "tie_word_embeddings": False,
}
SMALL = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2}
RATIO = "0.8"


@dataclass(frozen=True)
class Sizes:
    """Tokens of context, question and answer, and repeats."""

    n_context: int
    n_question: int
    n_new: int
    n_repeats: int


FULL_SIZE, REHEARSAL = Sizes(32_768, 16, 32, 3), Sizes(240, 4, 4, 2)


class NoText:
    """A tokenizer of a model that has no words."""

    def decode(self, ids: Any, **_: Any) -> str:
        return ""


def checks(place: Place) -> Mapping[str, Check]:
    """One for each cell. The model is made, and proven equal to transformers' own attention, before the first.

    Raises:
        UserError: what the proof found.
    """
    loaded, sizes = random_model(place), REHEARSAL if place.is_small else FULL_SIZE
    return {name: partial(_cost, loaded, method, sizes) for name, method in methods().items()}


def random_model(place: Place) -> LoadedModel:
    """The model on its device: bfloat16, float32 in a rehearsal."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    dtype = "float32" if place.is_small else "bfloat16"
    config = LlamaConfig(**SHAPE | (SMALL if place.is_small else {}))
    torch.manual_seed(0)
    with torch.device(place.device):
        made: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model = made.to(place.device).eval()
    loaded = LoadedModel(
        name=NAME,
        path=Path("no-folder"),
        revision="random weights, seed 0",
        model=model,
        tokenizer=NoText(),
        shape=read_shape(NAME, model),
        dtype=dtype,
        eos=frozenset(),
        backend=place.backend,
    )
    return prove_attention(loaded)


def methods() -> dict[str, Method]:
    """The full cache, equal budgets, and budgets that are far apart, by name."""
    scorer, budget = Plugin(Description("scorer", "keydiff"), KeyDiff()), Budget(ratio=Decimal(RATIO))

    def allocator(name: str, instance: Any) -> Plugin:
        return Plugin(Description("allocator", name), instance)

    return {
        "full cache": Method(allocator("full", Full()), None, Budget(), Protection(0, 0)),
        f"uniform x keydiff @ {RATIO}": Method(allocator("uniform", Uniform()), scorer, budget, KeyDiff.protection),
        f"very unequal x keydiff @ {RATIO}": Method(
            allocator("very unequal", VeryUnequal()), scorer, budget, KeyDiff.protection
        ),
    }


def _cost(loaded: LoadedModel, method: Method, sizes: Sizes, say: Say) -> Outcome:
    n_prompt = sizes.n_context + sizes.n_question
    n_ids = loaded.model.config.vocab_size
    ids = torch.randint(n_ids, (n_prompt,), generator=torch.Generator().manual_seed(0)).tolist()
    unit = Unit(
        sample_id="random tokens",
        context=tuple(ids[: sizes.n_context]),
        question=tuple(ids[sizes.n_context :]),
        n_sequence=n_prompt + sizes.n_new - 1,
        stop=Stop(sizes.n_new, frozenset()),
        seed=0,
        configurations=(UnitConfiguration(method.label, method),),
    )
    measured = measure(loaded, unit, CostSettings(sizes.n_repeats, sizes.n_new), say)
    gate = {} if measured.gate is None else {"gate": asdict(measured.gate)}
    data = {"n_tokens": asdict(sizes), "dtype": loaded.dtype, "backend": loaded.backend, **gate}
    if isinstance(measured, Failed):
        return Outcome(measured.error, data)
    return Outcome("", data | {key: value for key, value in asdict(measured).items() if key != "gate"})
