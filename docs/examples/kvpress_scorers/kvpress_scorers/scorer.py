"""Any of kvpress's score presses as a scorer."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lukv_bench.scorers.base import LayerView, Protection, Reads

from .presses import obstacle, score_presses


@dataclass(frozen=True)
class KVPress:
    """Ranks as one of kvpress's score presses does: `kvpress:press=LagKVPress`.

    Only the press's `score` is called, on the layer at hand; its hooks never run. A press that draws at random draws
    from the run's seed. A press that reads its compression ratio is told the one that keeps the budget's tokens.

    Source: NVIDIA, kvpress 0.5.5, https://github.com/NVIDIA/kvpress.
    Sink 0 and window 0 by default: the presses that protect tokens do it by their scores.

    Attributes:
        press: Name of the class.
        options: Its other arguments as `name=value`, separated by semicolons: `options=window_size=32;kernel_size=7`.
    """

    press: str
    options: str = ""

    source: ClassVar[str] = "https://github.com/NVIDIA/kvpress 0.5.5"
    reads: ClassVar[Reads] = Reads(hidden_states=True, rotary=True, budget=True, module=True)
    protection: ClassVar[Protection] = Protection(sink=0, window=0)

    def __post_init__(self) -> None:
        """Refuse what cannot score.

        Raises:
            ValueError: no such press, none that scores by itself, or arguments that it does not take.
        """
        known = {name: press for name, press in score_presses().items() if obstacle(press) is None}
        if self.press in score_presses().keys() - known.keys():
            raise ValueError(f"{self.press} {obstacle(score_presses()[self.press])}")
        if self.press not in known:
            raise ValueError(f"press={self.press} is none of kvpress's score presses: {', '.join(known)}")
        self._made(0.0)

    def score(self, layer: LayerView) -> Tensor:
        """float32 [B, H, T], whatever the press makes of the layer."""
        n_tokens = layer.keys.shape[2]
        # In the middle of the ratios that keep n_kept tokens: int(T x (1 - ratio)) is that whatever the rounding.
        ratio = max(0.0, 1 - ((layer.n_kept or n_tokens) + 0.5) / n_tokens)
        press = self._made(ratio)
        with _rotary_on(layer), torch.random.fork_rng():
            torch.manual_seed((layer.seed + layer.layer) % 2**63)
            scores: Tensor = press.score(
                layer.module, layer.hidden_states, layer.keys, layer.values, None, dict(layer.kwargs or {})
            )
        return scores.float()

    def _made(self, ratio: float) -> Any:
        options = dict(part.split("=", 1) for part in self.options.split(";") if part)
        return score_presses()[self.press](
            compression_ratio=ratio, **{name: _value(text) for name, text in options.items()}
        )


def _value(text: str) -> Any:
    """A Python literal, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


@contextmanager
def _rotary_on(layer: LayerView) -> Iterator[None]:
    """Lend the attention module the rotary embedding that kvpress's own hooks would give it."""
    rotary, module = layer.rotary, layer.module
    assert rotary is not None

    def embed(like: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = rotary(positions[0])
        return cos[None].to(like), sin[None].to(like)

    before = vars(module).get("rotary_emb")
    module.rotary_emb = embed
    try:
        yield
    finally:
        if before is None:
            del module.rotary_emb
        else:
            module.rotary_emb = before
