"""Checks that a model computes the same over our stores as with its own attention and cache."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...kernels.form import Form
from ..models.layers import ModelShape
from ..models.load import LoadedModel
from ..models.shape import Unsupported
from .attention import use_store_attention
from .cache import StoreCache
from .evict import evict, keep_everything
from .own_pass import Forward, LostState, OwnPass, replace_forward, token
from .packing import Packing
from .prefill import prefill
from .rotary import rotating_for
from .windows import PartialMask, narrowed, own_reach, with_windows

N_TOKENS = 24
"""Tokens of the text, fewer where a chunk is shorter; two thirds of them are its context."""
NARROW = 7
"""Tokens of a sliding window during the proof where it is longer than the text: the text goes beyond it then."""
LOGITS_ERROR = {"float32": 1e-3, "float16": 1e-1, "bfloat16": 3e-1}
"""Root mean square difference of the logits per unit of their standard deviation. Rounding adds up over the layers; a
model that keeps state outside of its attention modules differs by far more."""


@torch.inference_mode()
def prove(loaded: LoadedModel) -> LoadedModel:
    """Switch to store attention and compare it with the model's own: each attention module alone, each with a recurrent
    state, then the logits.

    Returns:
        The model, with the windows of its layers in its shape, its reach: the longest sequence in which every token
        of a layer that is evicted attends to all before it, at most the model's positions; what the attention of these
        layers does to its logits; and whether tokens after a context must be fed one by one.

    Raises:
        Unsupported: something differs by more than rounding.
        UserError: its logits are not finite.
    """
    own_attention = loaded.model.config.get_text_config(decoder=True)._attn_implementation
    own = OwnPass.of(loaded, N_TOKENS)
    use_store_attention(loaded.model)
    shape, reach, options = _windows(loaded)
    reach_held = min(reach, own_reach(loaded.shape, shape))
    proven = replace(loaded, shape=shape, reach=reach_held, logit_options=options)
    longest = max((layer.window or 0 for layer in shape.layers), default=0)
    if longest < N_TOKENS:
        return replace(proven, one_by_one=_compare(proven, own, min(N_TOKENS, reach)))
    with narrowed(loaded.model, NARROW):
        shape, *_ = _windows(loaded)
        if all(layer.window in (None, NARROW) for layer in shape.layers):
            one_by_one = _compare_anew(replace(proven, shape=shape), own_attention, min(N_TOKENS, reach))
            return replace(proven, one_by_one=one_by_one)
    return replace(proven, one_by_one=_compare_anew(proven, own_attention, min(longest + N_TOKENS, reach)))


def _compare_anew(loaded: LoadedModel, own_attention: str, n_tokens: int) -> bool:
    """Compare on a text of another length, or with other windows than before. Returns and raises as `_compare`."""
    loaded.model.set_attn_implementation(own_attention)
    own = OwnPass.of(loaded, n_tokens)
    use_store_attention(loaded.model)
    return _compare(loaded, own, n_tokens)


def _compare(loaded: LoadedModel, own: OwnPass, n_tokens: int) -> bool:
    """Compare the attention over stores with that of the model's own pass, on its first tokens. Returns whether tokens
    after a context must be fed one by one. Raises as `prove`."""
    ids, expected = own.ids[:n_tokens], own.logits[:n_tokens]
    try:
        _compare_modules(loaded, own, ids)
    except LostState:
        loaded = replace(loaded, one_by_one=True)
        _compare_modules(loaded, own, ids)
    error = _logits_error(_logits_over_stores(loaded, ids), expected)
    if not error <= LOGITS_ERROR[loaded.dtype]:
        if _logits_error(_logits_over_stores(loaded, ids, positions=False), expected) <= LOGITS_ERROR[loaded.dtype]:
            raise Unsupported(
                "it does not count positions from 0 (RoBERTa's kind begins behind the padding token's id)"
            )
        raise Unsupported(
            f"its logits over this suite's cache are {error:.2g} standard deviations from its own on a short text"
        )
    return loaded.one_by_one


def _compare_modules(loaded: LoadedModel, own: OwnPass, ids: Sequence[int]) -> None:
    """Compare each module over our cache with its own pass. Raises as `OwnPass.compare`."""
    own.n_compared.clear()
    with replace_forward(OwnPass.modules(loaded), own.compare):
        _logits_over_stores(loaded, ids)


def _logits_over_stores(loaded: LoadedModel, ids: Sequence[int], positions: bool = True) -> Tensor:
    """Logits float32 [Q, vocabulary] of a chunk, after a prefill and an eviction that keeps everything. Recurrent
    states go on as in decoding: with several tokens, then with one.

    Args:
        positions: Whether the chunk's positions are passed, as in decoding; else the model counts them itself.
    """
    n_context = len(ids) * 2 // 3
    context = prefill(loaded, ids[:n_context], {}, n_sequence=len(ids))
    for layer in context.keys:
        if layer.shape[1::2] != (loaded.shape.n_kv_heads, loaded.shape.head_dim):
            raise Unsupported("its layers that are evicted differ in KV heads or head dim")
    cache = evict(context, keep_everything(context), room=len(ids) - n_context, backend=loaded.backend)
    with rotating_for(loaded.model, n_sequence=len(ids), n_fed=len(ids)):
        pieces = [_piece_logits(loaded, cache, piece, positions) for piece in _pieces(loaded, ids[n_context:])]
    return torch.cat(pieces)


def _pieces(loaded: LoadedModel, chunk: Sequence[int]) -> Sequence[Sequence[int]]:
    """The parts of a chunk that are fed at once."""
    if loaded.one_by_one:
        return [[token] for token in chunk]
    return [chunk[:-1], chunk[-1:]] if loaded.shape.stateful and len(chunk) > 1 else [chunk]


def _piece_logits(loaded: LoadedModel, cache: StoreCache, piece: Sequence[int], positions: bool) -> Tensor:
    first = int(cache.n_seen)
    position_ids = torch.arange(first, first + len(piece), device=loaded.device).unsqueeze(0) if positions else None
    out = loaded.model(
        input_ids=torch.tensor([piece], device=loaded.device),
        position_ids=position_ids,
        past_key_values=cache.chunk(Packing.of([piece])),
        use_cache=True,
        logits_to_keep=[*range(len(piece))],  # as in `prefill`
    )
    logits: Tensor = out.logits[0].float()
    return logits


def _logits_error(ours: Tensor, own: Tensor) -> float:
    own = own[-len(ours) :]
    return float((ours - own).square().mean().sqrt() / own.std())


def _windows(loaded: LoadedModel) -> tuple[ModelShape, int, tuple[str, ...]]:
    """The model's shape with its windows, its reach, and what the layers that are evicted do to their logits; read off
    the masks and the calls of attention for one token."""
    masks: dict[int, PartialMask] = {}
    forms: dict[int, Form] = {}

    def collect_mask(_index: int, module: Any, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, PartialMask):
                masks[int(module.layer_idx)] = value
        return forward(*args, **kwargs)

    def collect_form(_index: int, module: Any, _query: Tensor, _keys: Tensor, _values: Tensor, form: Form) -> None:
        forms[int(module.layer_idx)] = form

    with replace_forward(loaded.attention_modules, collect_mask):
        prefill(loaded, [token(loaded, 0)], {}, [collect_form])
    shape, reach = with_windows(loaded.shape, masks)
    options = {option for index in shape.evicted for option in forms[index].options}
    return shape, reach, tuple(sorted(options))
