"""kvpress without its side effect, and which of its presses a scorer can be made of."""

import contextlib
import inspect
from functools import cache
from typing import Any


@cache
def kvpress() -> Any:
    """The module, imported on first use.

    Its import wraps every attention function that transformers knows by then, for the masking that its hooks do. No
    hook runs here, and the wrapper reads the shape of the keys, which a harness may replace by an object of its own:
    so what was wrapped is put back.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as FUNCTIONS

    before = dict(FUNCTIONS.items())
    import kvpress as module

    for name, function in before.items():
        with contextlib.suppress(KeyError):
            del FUNCTIONS[name]  # uncovers what is registered for all of transformers
        if FUNCTIONS.get(name) is not function:
            FUNCTIONS[name] = function
    return module


def score_presses() -> dict[str, type]:
    """Every `ScorerPress` that kvpress exports, by name."""
    module = kvpress()
    return {
        name: press
        for name, press in sorted(vars(module).items())
        if inspect.isclass(press) and issubclass(press, module.ScorerPress) and press is not module.ScorerPress
    }


def obstacle(press: type) -> str | None:
    """Why a press's `score` alone makes no scorer; None where it does."""
    module = kvpress()
    if press is module.ObservedAttentionPress:
        return "reads the attention weights of every token, which an unpatched fast attention never forms"
    if "press" in inspect.signature(press).parameters:
        return "wraps another press"
    if press.post_init_from_model is not module.BasePress.post_init_from_model:  # type: ignore[attr-defined]
        return "loads weights or statistics of its own from the model hub before it can score"
    return None
