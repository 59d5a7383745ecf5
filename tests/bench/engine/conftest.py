"""Tiny models with random weights, and what the engine is held against."""

import copy
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.models.layers import ModelShape
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.models.shape import read_shape
from lukv_bench.kernels.select import Kept, select
from lukv_bench.scorers.base import Protection

LETTERS = "\0\nabcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ.,:;?!-()"
SPECIAL = 0
SIZES: dict[str, Any] = {
    "vocab_size": len(LETTERS),
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "max_position_embeddings": 512,
    "initializer_range": 0.25,  # enough for attention to matter: logits reach 5 to 10
}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama-HQ6-H2-D20": lambda: LlamaConfig(
        **SIZES, hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=20
    ),
    "qwen3-HQ6-H3-D28": lambda: Qwen3Config(
        **SIZES, hidden_size=48, num_attention_heads=6, num_key_value_heads=3, head_dim=28
    ),
    "mistral-HQ4-H4-D10": lambda: MistralConfig(
        **SIZES, hidden_size=48, num_attention_heads=4, num_key_value_heads=4, head_dim=10, sliding_window=None
    ),
    "qwen2-HQ7-H1-D12": lambda: Qwen2Config(**SIZES, hidden_size=84, num_attention_heads=7, num_key_value_heads=1),
}


class LetterTokenizer:
    """One letter a token; token 0 is special."""

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return "".join(LETTERS[int(i)] for i in ids if not (skip_special_tokens and int(i) == SPECIAL))

    def spell(self, text: str) -> list[int]:
        return [LETTERS.index(letter) for letter in text]


@dataclass(frozen=True)
class Tiny:
    """A tiny model as the engine runs it, and the same weights under transformers' own attention."""

    loaded: LoadedModel
    plain: Any


def random_model(config: Any, attention: str = "sdpa") -> Any:
    """A model whose every weight matters, biases and norms included."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = SPECIAL
    return model


def as_loaded(model: Any, name: str = "tiny") -> LoadedModel:
    """What load_model would say of it."""
    shape, dtype = read_shape(name, model), str(model.dtype).removeprefix("torch.")
    return LoadedModel(name, Path("nowhere"), "none", model, LetterTokenizer(), shape, dtype, frozenset())


@pytest.fixture(scope="session")
def build() -> Callable[..., LoadedModel]:
    """From a transformers configuration to a model that is not switched to store attention yet."""
    return lambda config, attention="sdpa": as_loaded(random_model(config, attention))


@pytest.fixture(scope="session")
def sizes() -> dict[str, Any]:
    return SIZES


def make_tiny(name: str) -> Tiny:
    plain = random_model(CONFIGS[name]())
    return Tiny(prove_attention(as_loaded(copy.deepcopy(plain), name)), plain)


@pytest.fixture(scope="session", params=CONFIGS)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    return make_tiny(request.param)


@pytest.fixture(scope="session")
def llama() -> Tiny:
    """One of them, for what does not depend on the architecture."""
    return make_tiny("llama-HQ6-H2-D20")


@pytest.fixture
def new_objects_alone() -> None:
    """The garbage collector walks what is made from here on, and not the million objects of the session before."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def some_ids() -> Callable[[int, int], list[int]]:
    """Token ids, none of them special."""

    def some_ids(n: int, seed: int) -> list[int]:
        return torch.randint(1, len(LETTERS), (n,), generator=torch.Generator().manual_seed(seed)).tolist()

    return some_ids


@dataclass
class Forced:
    """Chooses what was scripted, [steps][rows], and remembers the logits it was shown; of a row that has stopped, its
    last ones."""

    script: Sequence[Sequence[int]]
    logits: list[Tensor] = field(default_factory=list)

    def __call__(self, logits: Tensor, rows: Tensor) -> Tensor:
        shown = self.logits[-1].clone() if self.logits else logits.clone()
        shown[rows] = logits
        self.logits.append(shown)
        return torch.tensor(self.script[len(self.logits) - 1])[rows]

    @property
    def seen(self) -> Tensor:
        """[steps, B, vocabulary]."""
        return torch.stack(self.logits)


@pytest.fixture(scope="session")
def forced() -> type[Forced]:
    return Forced


@pytest.fixture(scope="session")
def kept_at_random() -> Callable[..., list[Kept]]:
    """Per layer the kept positions of `rows` rows: any count from the protected to T in each head."""

    def kept_at_random(shape: ModelShape, n_tokens: int, rows: int, seed: int) -> list[Kept]:
        made = torch.Generator().manual_seed(seed)
        heads = (shape.n_layers, rows, shape.n_kv_heads)
        protected = Protection(sink=4, window=1).mask(n_tokens)
        counts = torch.randint(5, n_tokens + 1, heads, generator=made)
        counts[-1, :, 0] = 5
        return list(map(select, torch.rand(*heads, n_tokens, generator=made), counts, repeat(protected)))

    return kept_at_random


@contextmanager
def attention(model: Any, name: str) -> Iterator[None]:
    """Another attention implementation for a while."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@pytest.fixture(scope="session")
def attending_by() -> Callable[[Any, str], Any]:
    return attention


def _unsplit(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float,
    kept: Sequence[Tensor],
    **_: Any,
) -> tuple[Tensor, None]:
    """Dense attention over the whole sequence; tokens after the context see of it what its head keeps."""
    n_batch, n_query_heads, n, dim = query.shape
    n_heads, mask = key.shape[1], kept[module.layer_idx][0]
    n_context = mask.shape[1]
    visible = torch.ones(n, n, dtype=torch.bool).tril().repeat(n_heads, 1, 1)
    visible[:, n_context:, :n_context] &= mask.unsqueeze(1)
    grouped = query.reshape(n_batch, n_heads, n_query_heads // n_heads, n, dim).double()
    logits = torch.einsum("bhgqd,bhkd->bhgqk", grouped, key.double()) * scaling
    weights = logits.masked_fill(~visible.unsqueeze(1), float("-inf")).softmax(-1)
    out = torch.einsum("bhgqk,bhkd->bqhgd", weights, value.double())
    return out.reshape(n_batch, n, n_query_heads, dim).to(query.dtype), None


@pytest.fixture(scope="session")
def unsplit_logits() -> Callable[..., Tensor]:
    """Logits [N, vocabulary] of context + what follows in ONE pass without any cache, eviction done by a mask."""
    AttentionInterface.register("tests_unsplit", _unsplit)

    @torch.inference_mode()
    def unsplit_logits(model: Any, ids: Sequence[int], kept: Sequence[Tensor]) -> Tensor:
        with attention(model, "tests_unsplit"):
            out: Tensor = model(torch.tensor([list(ids)]), use_cache=False, kept=kept).logits[0].float()
            return out

    return unsplit_logits


@pytest.fixture(scope="session")
def assert_generates() -> Callable[..., None]:
    """The ids are those of transformers' own generate(), up to a tie of the two best logits."""

    @torch.inference_mode()
    def assert_generates(model: Any, prompt: Sequence[int], got: Sequence[int], n_tokens: int) -> None:
        ids = torch.tensor([list(prompt)])
        with attention(model, "sdpa"):
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=n_tokens,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        theirs, eos = out.sequences[0, len(prompt) :].tolist(), model.generation_config.eos_token_id
        if theirs[-1] == eos:
            theirs.pop()
        for step, (mine, their) in enumerate(zip(got, theirs, strict=False)):
            if mine != their:
                best, second = out.logits[step][0].topk(2).values.tolist()
                assert best - second < 1e-3, f"token {step}: {mine} instead of {their}"
                return
        assert len(got) == len(theirs)

    return assert_generates
