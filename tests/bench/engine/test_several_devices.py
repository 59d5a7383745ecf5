"""A model over several GPUs: a layer's part of a cache is on the layer's device, and answers are those of one device.

No GPU is needed: see `virtual_devices`. What real ones add (streams, peer copies, loading onto them) is not tested.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen3Config

from lukv_bench.bench.calibration.oracle import Oracle
from lukv_bench.bench.engine.decode import decode
from lukv_bench.bench.engine.evict import evict, share
from lukv_bench.bench.engine.layouts import RAGGED, SHARED, Layout
from lukv_bench.bench.engine.likelihood import empty_context, likelihood
from lukv_bench.bench.engine.margins import margin_gradients
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.reads import check_reads
from lukv_bench.bench.engine.ready import prove_attention, ready_model
from lukv_bench.bench.engine.stop import Stop
from lukv_bench.bench.methods.budget import Budget, parse_ratio
from lukv_bench.bench.methods.eviction import read_context, select_kept
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.models import fitting
from lukv_bench.bench.models.config import empty_model
from lukv_bench.bench.models.devices import Spread
from lukv_bench.bench.models.fitting import spread
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.run.batching import Batching, n_fitting
from lukv_bench.bench.run.rows import environment_row
from lukv_bench.bench.run.unit import Unit, UnitAnswer, UnitConfiguration
from lukv_bench.bench.run.worker import Worker
from lukv_bench.kernels.select import Kept

from ...virtual_devices import MixedDevices, VirtualDevices

STOP = Stop(max_new_tokens=8, eos=frozenset())
SCORERS = [
    "keydiff",
    "knorm",
    "expected_attention",
    "tova",
    "streaming_llm",
    "h2o",
    "random",
    "critical:of=keydiff",
    "oracle",
]
ALLOCATORS = ["full", "uniform", "pyramidkv", "adakv", "global", "oracle"]
LAYERS: dict[str, Any] = {"num_hidden_layers": 4, "hidden_size": 48, "num_attention_heads": 6, "head_dim": 20}
CONFIGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "llama": lambda sizes: LlamaConfig(**{**sizes, **LAYERS}, num_key_value_heads=2),
    "qwen3-tied": lambda sizes: Qwen3Config(**{**sizes, **LAYERS}, num_key_value_heads=3, tie_word_embeddings=True),
    "embedding-apart": lambda sizes: LlamaConfig(
        **{**sizes, **LAYERS, "max_position_embeddings": 64},
        num_key_value_heads=2,
        rope_parameters={"rope_type": "dynamic", "factor": 8.0, "rope_theta": 10000.0},
    ),
}
EMBEDDING_APART = {
    "model.embed_tokens": 0,
    "model.layers.0": 1,
    "model.layers.1": 1,
    "model.layers.2": 2,
    "model.layers.3": 2,
    "model.norm": 2,
    "model.rotary_emb": 0,
    "lm_head": 2,
}


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on them is done at once."""
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: None)


def dispatched(plain: Any, modules: Mapping[str, int]) -> Any:
    """A copy of a model as transformers loads it with a device map."""
    model = copy.deepcopy(plain)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        module = max((module for module in modules if name.startswith(f"{module}.")), key=len)
        tensor.label = torch.device("cuda", modules[module])
    return dispatch_model(model, dict(modules), skip_keys=model._skip_keys_device_placement)


@pytest.fixture(scope="module", params=CONFIGS)
def both(request: pytest.FixtureRequest, build: Callable[..., LoadedModel], sizes: dict[str, Any]) -> "Both":
    """A model on the CPU, and spread over GPUs."""
    config = CONFIGS[request.param](sizes)
    plain = build(config)
    empty = empty_model("tiny", config, torch.float32)
    half = int(0.6 * sum(weight.numel() * 4 for weight in empty.parameters()))
    modules = EMBEDDING_APART if request.param == "embedding-apart" else spread(empty, {0: half, 1: half})
    assert modules is not None
    with pytest.MonkeyPatch.context() as patch, VirtualDevices():
        patch.setattr(torch.accelerator, "synchronize", lambda device: None)
        several = prove_attention(replace(plain, model=dispatched(plain.model, modules)))
    return Both(prove_attention(plain), several)


class Both(tuple[LoadedModel, LoadedModel]):
    """The same model on one device and on several."""

    def __new__(cls, one: LoadedModel, several: LoadedModel) -> "Both":
        return super().__new__(cls, (one, several))

    def equal(self, compute: Callable[[LoadedModel], Any]) -> Any:
        """What both compute, which must be the same."""
        one, several = self
        with VirtualDevices():
            found = compute(several)
        assert found == compute(one)
        return found


def methods(allocators: list[str], scorers: list[str]) -> tuple[Method, ...]:
    return build_methods(allocators, scorers, [Budget(ratio=parse_ratio("0.6"))], 4, 1, baselines=False)


@pytest.fixture
def unit(some_ids: Callable[[int, int], list[int]]) -> Unit:
    ids = some_ids(52, 1)
    chosen = (*methods(ALLOCATORS, ["snapkv"]), *methods(["uniform"], SCORERS))
    configurations = tuple(UnitConfiguration(method.label, method) for method in chosen)
    return Unit("sample", tuple(ids[:44]), tuple(ids[44:]), 60, STOP, 3, configurations, reference=(7, 8, 9))


def essence(answer: UnitAnswer) -> tuple[Any, ...]:
    return answer.configuration_id, answer.error, answer.text, answer.kv_bytes_kept


@pytest.mark.parametrize("batching", [Batching(8), Batching(None, drafts=True, max_memory=2**30)], ids=["8", "auto"])
def test_every_allocator_and_scorer_answers_as_on_one_device(both: Both, unit: Unit, batching: Batching) -> None:
    def answers(loaded: LoadedModel) -> list[tuple[Any, ...]]:
        return [essence(one) for one in Worker(loaded, {}).answers(unit, batching, lambda step: None)]

    answered = both.equal(answers)
    assert len(answered) == len(ALLOCATORS) + len(SCORERS)
    assert {error for _, error, *_ in answered} == {None}


def test_a_configuration_alone_evicts_while_it_reads_as_on_one_device(both: Both, unit: Unit) -> None:
    def answers(loaded: LoadedModel) -> list[tuple[Any, ...]]:
        units = [replace(unit, configurations=(one,)) for one in unit.configurations[:6]]
        return [essence(one) for each in units for one in Worker(loaded, {}).answers(each, Batching(), lambda _: None)]

    assert {error for _, error, *_ in both.equal(answers)} == {None}


@pytest.mark.parametrize("layout", [RAGGED, SHARED], ids=lambda layout: layout.name)
def test_a_layers_store_is_on_the_layers_device_in_every_layout(both: Both, unit: Unit, layout: Layout) -> None:
    def texts(loaded: LoadedModel) -> list[str]:
        chosen = methods(["full", "uniform", "adakv"], ["snapkv"])
        context = read_context(loaded, unit.context, chosen, 0, unit.n_sequence)
        kept = [select_kept(loaded, method, context, 0).kept for method in chosen]
        cache = layout.build(context, kept, room=2)
        for store, device in zip(cache.stores, loaded.layer_devices, strict=True):
            assert {tensor.device for tensor in tensors_of(store)} == {device}
        return [row.text for row in decode(loaded, cache, [unit.question] * 3, STOP).rows]

    both.equal(texts)


def tensors_of(store: Any) -> Iterator[torch.Tensor]:
    """The tensors of a store that are as long as its layer's."""
    flat = store.tail if hasattr(store, "tail") else store.kv
    yield from (flat.keys, flat.values, store.base.mask)
    yield from (tensor for name in ("keys", "values", "mask") if (tensor := getattr(store, name, None)) is not None)


def test_likelihoods_and_calibration_are_those_of_one_device(both: Both, unit: Unit) -> None:
    def computed(loaded: LoadedModel) -> list[Any]:
        empty = empty_context(loaded, 20)
        cache = evict(empty, [Kept.of_mask(layer.new_ones(1, layer.shape[1], 0).bool()) for layer in empty.keys], 20)
        scored = likelihood(loaded, cache, unit.context[:10], unit.context[1:11])
        oracle = Oracle()
        context = prefill(loaded, unit.context, {}, [oracle.see_context], n_sequence=unit.n_sequence)
        oracle.begin(2, loaded.shape.n_kv_heads)
        decode(loaded, share(context, 2, 4, oracle.see_step), [unit.question] * 2, STOP)
        fed = margin_gradients(loaded, context, 15, unit.context[:9], 5)
        return [
            scored,
            oracle.importance.tolist(),
            [(layer.gradient.tolist(), layer.weights.tolist()) for layer in fed],
        ]

    both.equal(computed)


def test_what_scorers_read_is_found_on_every_layers_device(both: Both) -> None:
    _, several = both
    with VirtualDevices():
        check_reads(several, {m.label: m.scorer.instance.reads for m in methods(["uniform"], SCORERS) if m.scorer})


def test_its_gpus_are_recorded(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    one, several = both
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Big Card")
    with VirtualDevices():
        recorded, place = environment_row(several), several.place
    assert environment_row(one).device == "cpu"
    assert (recorded.device, str(recorded.machine).split(",")[0]) == (place, "2 x Big Card")
    assert place in ("cuda:0, cuda:1", "cuda:1, cuda:2")


def test_the_tightest_device_decides_how_many_decode_together(
    both: Both, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, several = both
    free: dict[torch.device, int] = {}
    monkeypatch.setattr("lukv_bench.bench.run.batching.free_memory", free.__getitem__)
    counts = []
    with VirtualDevices():
        first, *_, last = several.devices
        for first_bytes, last_bytes in ((2**30, 2**30), (2**30, 2**17), (2**17, 2**30), (2**17, 2**17)):
            free |= {first: first_bytes, last: last_bytes}
            counts.append(n_fitting(several, unit, unit.configurations, Batching(None)))
    every = len(unit.configurations)
    assert counts[0] == every
    assert max(counts[1:]) < every
    assert counts[3] == min(counts)


def test_a_model_is_loaded_by_a_device_map_over_all_gpus(
    real_model: Path, tmp_path: Path, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real_model)
    tokenizer.save_pretrained(tmp_path)
    config = CONFIGS["llama"](sizes | {"vocab_size": len(tokenizer), "max_position_embeddings": 512})
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    read = AutoModelForCausalLM.from_pretrained

    def onto_virtual_gpus(path: Path, *, device_map: dict[str, int], **more: Any) -> Any:
        model, info = read(path, **more)
        return dispatched(model, device_map), info

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", onto_virtual_gpus)
    monkeypatch.setattr(fitting, "measured_memory", lambda device: 2**24)
    with VirtualDevices():
        several = ready_model(str(tmp_path), Spread((torch.device("cuda:0"), torch.device("cuda:1"))), "bfloat16")
        assert {weight.device.index for weight in several.model.parameters()} == {0, 1}
        assert (several.device, several.dtype) == (torch.device("cuda:0"), "bfloat16")


@contextmanager
def mixing() -> Iterator[None]:
    with VirtualDevices(), pytest.raises(MixedDevices):
        yield


def test_the_virtual_devices_refuse_what_real_ones_refuse() -> None:
    with VirtualDevices():
        here, there = torch.ones(3, device="cuda:0"), torch.ones(3, device="cuda:1")
        assert (here.device.index, there.to("cuda:0").device.index, here.cpu().device.type) == (0, 0, "cpu")
        here[0] = there[0]
        here.copy_(there)
        assert (here * torch.tensor(2.0))[torch.tensor([0])].device == torch.device("cuda:0")
    for mixed in (
        lambda: here + there,
        lambda: here + torch.ones(3),
        lambda: here[there.long()],
        lambda: torch.cat([here, there]),
        lambda: here.masked_fill(there > 0, 0.0),
        lambda: here * there[0],
    ):
        with mixing():
            mixed()
