"""A model over our cache against transformers' own: full against `generate`, evicted against a float64 mask."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from lukv_bench import UserError
from lukv_bench.bench.calibration.hidden import HiddenStates
from lukv_bench.bench.engine.decode import Stop, decode
from lukv_bench.bench.engine.evict import evict, keep_everything
from lukv_bench.bench.engine.prefill import prefill
from lukv_bench.bench.engine.reads import check_reads
from lukv_bench.bench.models.load import LoadedModel
from lukv_bench.bench.plugins.bind import with_profiles
from lukv_bench.bench.plugins.names import registered
from lukv_bench.bench.plugins.plugin import Plugin
from lukv_bench.bench.plugins.registry import build
from lukv_bench.kernels.select import select
from lukv_bench.scorers.base import CalibrationDocument, Profile, Protection

NEW, QUESTION = 14, 8
TIE = 1e-3


def prompt_ids(loaded: LoadedModel, n: int) -> list[int]:
    """Ordinary token ids."""
    made = torch.Generator().manual_seed(0)
    size = loaded.model.config.get_text_config(decoder=True).vocab_size
    return torch.randint(10, size, (n,), generator=made).tolist()


@torch.inference_mode()
def first_difference(loaded: LoadedModel, plain: Any, n: int) -> str | None:
    """How the full cache's tokens differ from those of `generate`; None where they do not, up to ties."""
    ids = prompt_ids(loaded, n)
    out = plain.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, n, dtype=torch.int64),
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
        forced_eos_token_id=None,
        output_logits=True,
        return_dict_in_generate=True,
    )
    theirs = out.sequences[0, n:].tolist()
    context = prefill(loaded, ids[:-QUESTION], {})
    cache = evict(context, keep_everything(context), QUESTION + NEW)
    (row,) = decode(loaded, cache, [ids[-QUESTION:]], Stop(NEW, frozenset())).rows
    for step, (mine, their) in enumerate(zip(row.ids, theirs, strict=True)):
        if mine != their:
            best, second = out.logits[step][0].topk(2).values.tolist()
            return None if best - second < TIE else f"token {step} of generate is {their}, here {mine}"
    return None


@torch.inference_mode()
def evicted_error(loaded: LoadedModel, plain: Any, n: int) -> str | None:
    """How logits after a random eviction differ from those of one pass under a mask; None where they do not."""
    ids, shape = prompt_ids(loaded, n), loaded.shape
    context = prefill(loaded, ids[:-QUESTION], {})
    made = torch.Generator().manual_seed(1)
    heads = (shape.n_layers, 1, shape.n_kv_heads)
    counts = torch.randint(6, n // 2, heads, generator=made)
    scores = torch.rand(*heads, context.n_tokens, generator=made)
    kept = list(map(select, scores, counts, repeat(Protection(sink=4, window=1).mask(context.n_tokens))))
    logits: list[Tensor] = []

    def watch(chosen: Tensor, rows: Tensor) -> Tensor:
        logits.append(chosen[0])
        return torch.tensor([ids[-1]])

    decode(loaded, evict(context, kept, QUESTION), [ids[-QUESTION:]], Stop(1, frozenset()), watch)
    masks = {layer: one.mask for layer, one in zip(shape.evicted, kept, strict=True)}
    wanted = unsplit_logits(plain, ids, _by_reader(loaded, masks))
    whole = unsplit_logits(plain, ids, {})
    error, effect = (float((other - logits[0]).abs().max()) for other in (wanted, whole))
    if not error < 1e-3 * float(wanted.std()) + 1e-4:
        return f"logits under eviction are {error:.2g} from the oracle's"
    return None if effect > 10 * error else "eviction changes nothing: this test cannot fail"


def _by_reader(loaded: LoadedModel, masks: dict[int, Tensor]) -> dict[int, Tensor]:
    """The masks of the layers that are evicted, and of those that borrow their keys and values: a layer borrows from
    the last layer of its type that keeps its own."""
    layers, types = loaded.shape.every_layer, getattr(loaded.model.config.get_text_config(), "layer_types", None)
    every = dict(masks)
    for index, layer in enumerate(layers):
        if layer.kind == "borrowed":
            lender = max(i for i in range(index) if layers[i].kind != "borrowed" and types[i] == types[index])
            every |= {index: masks[lender]} if lender in masks else {}
    return every


def unsplit_logits(model: Any, ids: Sequence[int], masks: Mapping[int, Tensor]) -> Tensor:
    """Float32 logits after the last token, in one pass without cache under the model's own masks; tokens after the
    context see of it what is kept in the layers that have a mask here."""

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **more: Any
    ) -> tuple[Tensor, None]:
        n, group = key.shape[2], query.shape[1] // key.shape[1]
        scale = more.get("scaling") or query.shape[-1] ** -0.5
        logits = query.double() @ key.double().repeat_interleave(group, 1).transpose(2, 3) * scale
        if cap := more.get("softcap"):
            logits = cap * torch.tanh(logits / cap)
        hidden = torch.ones(n, n, dtype=torch.bool).triu(1) if attention_mask is None else attention_mask < 0
        logits = logits.masked_fill(hidden, float("-inf"))
        if module.layer_idx in masks:
            kept = masks[module.layer_idx][0].repeat_interleave(group, 0).unsqueeze(1)
            n_context = kept.shape[-1]
            logits[..., n_context:, :n_context].masked_fill_(~kept, float("-inf"))
        if (sinks := more.get("s_aux")) is not None:
            column = sinks.double().view(1, -1, 1, 1).expand(*logits.shape[:3], 1)
            weights = torch.cat([logits, column], dim=-1).softmax(-1)[..., :-1]
        else:
            weights = logits.softmax(-1)
        out = weights @ value.double().repeat_interleave(group, 1)
        return out.transpose(1, 2).contiguous().to(query.dtype), None

    AttentionInterface.register("oracle", attend)
    AttentionMaskInterface.register("oracle", eager_mask)
    model.set_attn_implementation("oracle")
    logits: Tensor = model(torch.tensor([list(ids)]), use_cache=False).logits[0, -1].float()
    return logits


def fitted(loaded: LoadedModel, plugin: Plugin, n: int) -> Any:
    """A fitted scorer with a profile for this model: of what it holds of a context, and of a made-up future."""
    inputs = HiddenStates()
    with inputs.watching(loaded):
        context = prefill(loaded, prompt_ids(loaded, n), {})
    keys, values = (torch.cat(each).cpu() for each in (context.keys, context.values))
    replay, *utility = 0.1 + torch.rand(4, *keys.shape[:3], generator=torch.Generator().manual_seed(0))
    document = CalibrationDocument(
        scores=None,
        importance=None,
        protected=Protection(0, 1).mask(n),
        keys=keys,
        values=values,
        hidden_states=inputs.stacked(),
        replay=replay,
        utility=torch.stack(utility),
    )
    profile = Profile(plugin.name, plugin.instance.fit((document,)))
    return with_profiles(plugin, "scorer", {"scorer": profile})


def score_all(loaded: LoadedModel, n: int) -> dict[str, str]:
    """By installed scorer, critical around one of them too, the sentence that refuses it here; empty where it scores.

    Oracles are left out, which a context alone has no future for.

    Raises:
        Exception: a scorer that was not refused fails.
    """
    said = {}
    for name in (*sorted(set(registered("scorer")) - {"critical"}), "critical:of=snapkv"):
        plugin = build("scorer", name)
        if plugin.instance.reads.future:
            continue
        try:
            check_reads(loaded, {name: plugin.instance.reads})
        except UserError as error:
            said[name] = str(error).replace(loaded.name, "FOLDER")
            continue
        scorer = fitted(loaded, plugin, n) if plugin.is_fitted else plugin.instance
        context = prefill(loaded, prompt_ids(loaded, n), {name: scorer}, n_kept={name: n // 2})
        try:
            context.table(name)
        except UserError as error:  # a replay that the model's windows do not reach
            said[name] = str(error).replace(loaded.name, "FOLDER")
        else:
            said[name] = ""
    return said
