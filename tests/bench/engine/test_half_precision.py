"""The default model in half precision: served, and still refused where attention is not the model's own."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from lukv_bench import UserError
from lukv_bench.bench.engine.cache import PrefillLayer
from lukv_bench.bench.engine.ready import ready_model
from lukv_bench.kernels.form import Form

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_default_model_is_served(dtype: str) -> None:
    assert ready_model("smollm2-135m", CPU, dtype).dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_attention_with_another_scale_is_refused(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attend = PrefillLayer.attend

    def flat(self: PrefillLayer, module: Any, query: torch.Tensor, form: Form) -> torch.Tensor:
        return attend(self, module, query, replace(form, scale=form.scale / 2))

    monkeypatch.setattr(PrefillLayer, "attend", flat)
    with pytest.raises(UserError, match="attention in layer 0 differs"):
        ready_model("smollm2-135m", CPU, dtype)
