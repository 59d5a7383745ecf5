"""Our scorers and allocators keep what kvpress 0.5.5 keeps: its golden files (tests/golden), replayed without it."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lukv_bench.allocators.lukv_export import kvpress_ratios
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.methods.budget import Budget
from lukv_bench.bench.methods.method import Method, build_methods
from lukv_bench.bench.methods.policy import Policy
from lukv_bench.bench.models.load import LoadedModel, ModelShape, attention_modules
from lukv_bench.scorers.base import Profile, Protection

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TINY = ("llama", "qwen3", "mistral")
SNAPKV = "snapkv:window=64,kernel=5,pool=avg"
SCORERS = {
    "keydiff": "keydiff",
    "knorm": "knorm",
    "snapkv": SNAPKV,
    "streaming_llm": "streaming_llm",
    "tova": "tova",
    "expected_attention": "expected_attention:epsilon=0",
    "expected_attention_eps": "expected_attention:epsilon=0.02",
    "h2o": "h2o",
    "critical_knorm": "critical:of=knorm",
    "critical_snapkv": f"critical:of=({SNAPKV})",
}
"""By the golden files' names."""
CASES = [f"uniform/{name}" for name in SCORERS] + ["adakv/keydiff", "adakv/knorm", "adakv/snapkv"]
NOISE = 1e-5
"""Largest relative difference of two equal scores: float32 sums in another order."""


@cache
def as_method(case: str, ratio: str) -> Method:
    """With --sink 0 --window 0: kvpress's presses protect tokens by their scores, and so do our scorers."""
    allocator, scorer = case.split("/")
    (method,) = build_methods([allocator], [SCORERS[scorer]], [Budget(ratio=Decimal(ratio))], 0, 0, baselines=False)
    return method


@dataclass(frozen=True)
class Replay:
    """A model's golden file, and the same model here."""

    file: Any
    loaded: LoadedModel
    tables: dict[int, Any] = field(default_factory=dict)

    def budgets(self, case: str) -> Iterator[tuple[int, str]]:
        """(T, ratio) of every golden of a case."""
        for key in self.file.files:
            if f"/{case}/" in key and key.endswith("/kept"):
                yield int(key.split("/")[0]), key.split("/")[3]

    def theirs(self, n_tokens: int, case: str, ratio: str) -> NDArray[np.bool_]:
        """Kept, [L, H, T]."""
        shape = (self.loaded.shape.n_layers, self.loaded.shape.n_kv_heads, n_tokens)
        bits = np.unpackbits(self.file[f"{n_tokens}/{case}/{ratio}/kept"], count=int(np.prod(shape)))
        return bits.reshape(shape).astype(bool)

    def ours(self, n_tokens: int, case: str, ratio: str) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """(kept, scores), each [L, H, T]."""
        method = as_method(case, ratio)
        scores = self.scores(n_tokens, case.split("/")[1], ratio)
        kept = Policy(self.loaded, method, n_tokens, seed=0).decide_all(scores)
        return torch.stack([layer.mask[0] for layer in kept]).numpy(), scores[:, 0].numpy()

    def splits_a_tie(self, n_tokens: int, case: str, ratio: str) -> NDArray[np.bool_]:
        """[L, H]: whether CriticalKV's first stage ends between two equal scores of its inner scorer."""
        inner = case.partition("critical_")[2]
        if not inner:
            return np.zeros((self.loaded.shape.n_layers, self.loaded.shape.n_kv_heads), dtype=bool)
        best = self.scores(n_tokens, inner, ratio)[:, 0].sort(dim=-1, descending=True).values.numpy()
        n_first = max(1, as_method(case, ratio).budget.per_head(n_tokens) // 2)
        return np.isclose(best[..., n_first - 1], best[..., n_first], rtol=NOISE, atol=0)

    def scores(self, n_tokens: int, scorer: str, ratio: str) -> torch.Tensor:
        """float32 [L, 1, H, T]; all tables of a context come from one prefill."""
        if n_tokens not in self.tables:
            methods = [as_method(f"uniform/{name}", r) for name in SCORERS for r in ("0.25", "0.5", "0.8")]
            context = prefill(
                self.loaded,
                self.file[f"{n_tokens}/ids"].tolist(),
                {method.table: method.scorer.instance for method in methods if method.scorer is not None},
                n_kept={method.table: method.budget.per_head(n_tokens) for method in methods},
            )
            assert not context.failures
            self.tables[n_tokens] = context.scores
        table: torch.Tensor = self.tables[n_tokens][as_method(f"uniform/{scorer}", ratio).table]
        return table


@cache
def golden_models() -> Any:
    """tests/golden/models.py, which kvpress's environment ran as well."""
    spec = importlib.util.spec_from_file_location("golden_models", GOLDEN / "models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def tiny_replay(name: str) -> Replay:
    model = golden_models().seeded_model(name)
    config = model.config
    shape = ModelShape(
        n_layers=config.num_hidden_layers,
        n_kv_heads=config.num_key_value_heads,
        n_query_heads=config.num_attention_heads,
        head_dim=int(attention_modules(model)[0].head_dim),
        max_positions=config.max_position_embeddings,
    )
    loaded = LoadedModel(name, Path("nowhere"), "none", model, None, shape, "float32", frozenset())
    prove_attention(loaded)
    return Replay(np.load(GOLDEN / f"kvpress-{name}.npz"), loaded)


@pytest.fixture(scope="module")
def real_replay(smollm2: LoadedModel) -> Replay:
    return Replay(np.load(GOLDEN / "kvpress-smollm2-135m.npz"), smollm2)


def weights_digest(model: Any) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def assert_kept_alike(replay: Replay, case: str) -> int:
    """Kept positions differ nowhere but where equal scores meet the cut; gives the number of heads that differ so."""
    tied = 0
    budgets = list(replay.budgets(case))
    assert len({n_tokens for n_tokens, _ in budgets}) >= 2
    for n_tokens, ratio in budgets:
        theirs, cut = replay.theirs(n_tokens, case, ratio), replay.file[f"{n_tokens}/{case}/{ratio}/cut"]
        ours, scores = replay.ours(n_tokens, case, ratio)
        assert ours.sum() == theirs.sum()
        first_tied = replay.splits_a_tie(n_tokens, case, ratio)
        low, high = np.broadcast_to(cut, (*theirs.shape[:2], 2)).transpose(2, 0, 1)
        for layer, head in zip(*np.nonzero((ours != theirs).any(-1)), strict=True):
            where = f"T={n_tokens} ratio={ratio} layer={layer} head={head}"
            tied += 1
            if first_tied[layer, head]:
                continue
            at = low[layer, head]
            assert at - high[layer, head] <= NOISE * abs(at), f"{where}: no tie at kvpress's cut"
            swapped = scores[layer, head][ours[layer, head] != theirs[layer, head]]
            assert np.allclose(swapped, at, rtol=NOISE, atol=0), f"{where}: {swapped} is not at the cut, {at}"
    return tied


@pytest.mark.parametrize("name", TINY)
def test_the_model_is_the_one_that_kvpress_saw(name: str) -> None:
    replay = tiny_replay(name)
    assert weights_digest(replay.loaded.model) == json.loads(str(replay.file["about"]))["weights_sha256"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", TINY)
def test_a_random_model_keeps_what_kvpress_keeps(name: str, case: str) -> None:
    assert_kept_alike(tiny_replay(name), case)


@pytest.mark.parametrize("case", CASES)
def test_the_default_model_keeps_what_kvpress_keeps(real_replay: Replay, case: str) -> None:
    assert_kept_alike(real_replay, case)


@pytest.mark.parametrize("name", TINY)
def test_lukv_evicts_exactly_what_kvpress_masks_with_our_profile_exported(name: str) -> None:
    """Each length's export is committed: it is what kvpress was given, and what we would give it now."""
    replay, models = tiny_replay(name), golden_models()
    shape = replay.loaded.shape
    profile = Profile("lukv", {"curve": torch.from_numpy(models.seeded_curve(shape.n_layers, shape.n_kv_heads))})
    protection = Protection(models.SINK, models.WINDOW)
    compared, given = 0, np.load(GOLDEN / "lukv-curves.npz")
    for n_tokens, ratio in replay.budgets("lukv/keydiff"):
        np.testing.assert_array_equal(kvpress_ratios(profile, n_tokens, protection), given[f"{name}/{n_tokens}"])
        asked = [Budget(ratio=Decimal(ratio))]
        (method,) = build_methods(["lukv"], ["keydiff"], asked, models.SINK, models.WINDOW, baselines=False)
        scores = replay.scores(n_tokens, "keydiff", ratio)
        bound = method.with_profiles({"allocator": profile})
        kept = Policy(replay.loaded, bound, n_tokens, seed=0).decide_all(scores)
        theirs, ours = replay.theirs(n_tokens, "lukv/keydiff", ratio), [layer.mask[0] for layer in kept]
        np.testing.assert_array_equal(torch.stack(ours).numpy(), theirs, err_msg=f"T={n_tokens} ratio={ratio}")
        assert torch.cat([layer.counts for layer in kept]).unique().numel() > 2, "the profile gives all heads the same"
        compared += 1
    assert compared == 6


@pytest.mark.parametrize("name", TINY)
def test_scores_are_kvpress_s_scores(name: str) -> None:
    """Up to the sinks and windows, which each side puts above all others in a way of its own."""
    replay = tiny_replay(name)
    compared = 0
    for key in replay.file.files:
        n_tokens, kind, scorer = [*key.split("/"), "", ""][:3]
        if kind != "scores" or scorer not in SCORERS or scorer == "streaming_llm":
            continue
        theirs, ours = replay.file[key], replay.scores(int(n_tokens), scorer, "0.5")[:, 0].numpy()
        counted = theirs < (theirs.max() if scorer in ("keydiff", "knorm", "h2o") else 1)
        np.testing.assert_allclose(ours[counted], theirs[counted], rtol=2e-4, atol=1e-6, err_msg=key)
        compared += 1
    assert compared >= 12
