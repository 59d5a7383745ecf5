"""A scorer that writes into anything it is shown fails alone, and changes nothing for the others."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from lukv_bench.bench.engine.context import Context
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.errors import WriteError
from lukv_bench.bench.models.weights import ModelChanged
from lukv_bench.scorers.base import LayerView, Protection, Reads
from lukv_bench.scorers.keydiff import KeyDiff
from lukv_bench.scorers.snapkv import SnapKV

ALL = Reads(
    queries="all",
    hidden_states=True,
    queries_before_rotary=True,
    rotary=True,
    output_weight=True,
    budget=True,
    module=True,
)
GOOD = {"keydiff": KeyDiff(), "snapkv": SnapKV(window=8)}


@dataclass(frozen=True)
class Writing:
    """Writes in its own way and scores well."""

    source: ClassVar[str] = "a test"
    protection: ClassVar[Protection] = Protection(0, 0)
    reads: Reads
    write: Callable[[LayerView], Any]

    def score(self, layer: LayerView) -> Tensor:
        if layer.layer == 1:
            self.write(layer)
        return layer.keys.float().norm(dim=-1)


def normalise(tensor: Tensor) -> None:
    tensor.div_(tensor.norm(dim=-1, keepdim=True))


def in_inference_mode(layer: LayerView) -> None:
    with torch.inference_mode():
        layer.keys.mul_(2)


def weight_of(layer: LayerView) -> Tensor:
    weight: Tensor = layer.module.o_proj.weight
    return weight


WRITES: dict[str, tuple[Reads, Callable[[LayerView], Any], str]] = {
    "keys": (Reads(), lambda layer: normalise(layer.keys), "keys of layer 1"),
    "a view of the keys": (Reads(), lambda layer: layer.keys[:, 0, 3:].mT.zero_(), "keys of layer 1"),
    "keys in inference mode": (Reads(), in_inference_mode, "keys of layer 1"),
    "keys by out=": (Reads(), lambda layer: torch.neg(layer.keys, out=layer.keys), "keys of layer 1"),
    "another storage for the keys": (
        Reads(),
        lambda layer: setattr(layer.keys, "data", layer.keys.data + 1),
        "keys of layer 1",
    ),
    "values": (Reads(), lambda layer: layer.values.zero_(), "values of layer 1"),
    "last queries": (Reads(queries=4), lambda layer: normalise(layer.queries), "queries of layer 1"),
    "all queries": (Reads(queries="all"), lambda layer: normalise(layer.queries), "queries of layer 1"),
    "hidden states": (
        Reads(hidden_states=True),
        lambda layer: layer.hidden_states.mul_(0.5),
        "hidden_states of layer 1",
    ),
    "output weight": (
        Reads(output_weight=True),
        lambda layer: layer.output_weight.mul_(2),
        "output weight of layer 1",
    ),
    "cos and sin": (
        Reads(module=True),
        lambda layer: layer.kwargs["position_embeddings"][0].mul_(0.5),
        "position_embeddings of layer 1",
    ),
    "a parameter": (
        Reads(module=True),
        lambda layer: weight_of(layer).detach().zero_(),
        "o_proj.weight of layer 1",
    ),
    "another parameter": (
        Reads(module=True),
        lambda layer: setattr(layer.module.o_proj, "weight", torch.nn.Parameter(weight_of(layer) * 2)),
        "o_proj.weight of layer 1",
    ),
    "another submodule": (
        Reads(module=True),
        lambda layer: setattr(layer.module, "o_proj", torch.nn.Identity()),
        "o_proj of layer 1",
    ),
    "a number of the module": (
        Reads(module=True),
        lambda layer: setattr(layer.module, "scaling", 3.0),
        "scaling of layer 1",
    ),
    "the module's forward": (
        Reads(module=True),
        lambda layer: setattr(layer.module.q_proj, "forward", lambda x: x),
        "q_proj.forward of layer 1",
    ),
    "a hook": (
        Reads(module=True),
        lambda layer: layer.module.register_forward_hook(lambda *_: None),
        "_forward_hooks",
    ),
    "torch.softmax": (Reads(), lambda layer: setattr(torch, "softmax", torch.sigmoid), "torch.softmax"),
    "Tensor.argmax": (Reads(), lambda layer: setattr(torch.Tensor, "argmax", torch.Tensor.argmin), "Tensor.argmax"),
    "torch's default dtype": (Reads(), lambda layer: torch.set_default_dtype(torch.float64), "dtype"),
    "gradients on": (Reads(), lambda layer: torch.set_grad_enabled(True), ""),
}
HARMLESS = {"gradients on"}
"""What is put back when the scorer's turn ends, so that nobody else sees anything of it."""


def equal(context: Context, expected: Context) -> None:
    for name in GOOD:
        assert torch.equal(context.table(name), expected.table(name)), name
    for mine, theirs in zip((*context.keys, *context.values), (*expected.keys, *expected.values), strict=True):
        assert torch.equal(mine, theirs)
        assert not mine.requires_grad


def weights_of(model: Any) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.fixture
def on_disk(llama: Any, tmp_path: Any) -> Any:
    """The tiny Llama with its files, from which weights can be read again."""
    import copy
    import dataclasses

    llama.loaded.model.save_pretrained(tmp_path)
    return dataclasses.replace(llama.loaded, path=tmp_path, model=copy.deepcopy(llama.loaded.model))


@pytest.mark.parametrize(("reads", "write", "told"), WRITES.values(), ids=WRITES.keys())
def test_a_write_fails_its_scorer_alone(
    on_disk: Any,
    some_ids: Callable[..., list[int]],
    reads: Reads,
    write: Callable[[LayerView], Any],
    told: str,
    request: pytest.FixtureRequest,
) -> None:
    ids = some_ids(30, 0)
    weights, expected = weights_of(on_disk.model), prefill(on_disk, ids, GOOD)
    context = prefill(on_disk, ids, {"writing": Writing(reads, write), **GOOD})
    equal(context, expected)
    assert all(torch.equal(mine, was) for mine, was in zip(weights_of(on_disk.model), weights, strict=True))
    if request.node.callspec.id in HARMLESS:
        assert not context.failures
        return
    assert set(context.failures) == {"writing"}
    with pytest.raises(WriteError, match=told):
        context.table("writing")
    equal(prefill(on_disk, ids, GOOD), expected)


@dataclass(frozen=True)
class Hoarding:
    """Keeps what it was shown of its first layer, and writes into it when it sees the last."""

    source: ClassVar[str] = "a test"
    protection: ClassVar[Protection] = Protection(0, 0)
    reads: ClassVar[Reads] = Reads()
    kept: list[Tensor] = field(default_factory=list)

    def score(self, layer: LayerView) -> Tensor:
        self.kept.append(layer.keys)
        if layer.layer == 2:
            self.kept[-3].zero_()
        return layer.keys.float().norm(dim=-1)


def test_a_late_write_is_found_and_its_scorer_told_from_the_others(
    llama: Any, some_ids: Callable[..., list[int]]
) -> None:
    ids = some_ids(30, 1)
    expected = prefill(llama.loaded, ids, GOOD)
    context = prefill(llama.loaded, ids, {"keydiff": KeyDiff(), "hoarding": Hoarding(), "snapkv": SnapKV(window=8)})
    equal(context, expected)
    assert set(context.failures) == {"hoarding"}
    with pytest.raises(WriteError, match="keys of layer 0"):
        context.table("hoarding")


def test_a_table_that_the_scorer_goes_on_with_is_taken_as_it_was_returned(
    llama: Any, some_ids: Callable[..., list[int]]
) -> None:
    """One buffer for all layers: each layer's scores are its own."""
    buffer = torch.empty(1, 2, 30)

    @dataclass(frozen=True)
    class Reusing(Writing):
        def score(self, layer: LayerView) -> Tensor:
            return torch.norm(layer.keys, dim=-1, out=buffer)

    ids = some_ids(30, 2)
    context = prefill(llama.loaded, ids, {"reusing": Reusing(Reads(), id), "keydiff": KeyDiff()})
    for layer, keys in enumerate(context.keys):
        assert torch.equal(context.table("reusing")[layer], keys.norm(dim=-1))


def test_weights_that_cannot_be_read_again_end_everything(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    import copy
    import dataclasses

    loaded = dataclasses.replace(llama.loaded, model=copy.deepcopy(llama.loaded.model))
    writing = Writing(Reads(output_weight=True), lambda layer: layer.output_weight.mul_(2))
    with pytest.raises(ModelChanged, match=r"o_proj.weight.*cannot be read"):
        prefill(loaded, some_ids(9, 3), {"writing": writing})


def test_a_context_that_was_written_into_later_is_read_again(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    ids = some_ids(30, 4)
    expected = prefill(llama.loaded, ids, GOOD)
    context = prefill(llama.loaded, ids, GOOD)
    assert context.restored() is None
    context.scores["keydiff"].zero_()
    context.values[1].mul_(2)
    assert context.restored() == "values of layer 1"
    equal(context, expected)
    assert context.restored() is None


def test_a_cache_that_overflowed_is_not_the_scorers_fault(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    import copy
    import dataclasses

    model = copy.deepcopy(llama.loaded.model)
    model.model.layers[1].self_attn.k_proj.weight.data.fill_(float("nan"))
    context = prefill(dataclasses.replace(llama.loaded, model=model), some_ids(9, 5), {"keydiff": KeyDiff()})
    with pytest.raises(Exception, match="NaN or infinite, as are the model's own keys in layer 1"):
        context.table("keydiff")


@pytest.mark.usefixtures("new_objects_alone")
def test_nothing_of_a_failed_pass_stays_alive(llama: Any, some_ids: Callable[..., list[int]]) -> None:
    """A re-read costs time and no memory."""

    def live() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    ids = some_ids(30, 6)
    writing = Writing(Reads(), lambda layer: layer.keys.zero_())
    counts = [live()]
    alone = prefill(llama.loaded, ids, {"keydiff": KeyDiff()})
    counts.append(live())
    beside = prefill(llama.loaded, ids, {"writing": writing, "keydiff": KeyDiff()})
    counts.append(live())
    assert counts[2] - counts[1] == counts[1] - counts[0]
    assert (set(alone.failures), set(beside.failures)) == (set(), {"writing"})
