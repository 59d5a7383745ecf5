"""A plugin's code over what is not its own."""

import pytest
import torch

from lukv_bench.bench.errors import PluginFailure, WriteError
from lukv_bench.bench.guard.read_only import reading


@pytest.mark.parametrize("raised", [None, ValueError("its own fault")])
def test_a_write_is_named_whatever_else_the_plugin_does(raised: Exception | None) -> None:
    scores = torch.zeros(2)
    with pytest.raises(WriteError, match="the scores"):
        _write(scores, raised)


def _write(scores: torch.Tensor, raised: BaseException | None) -> None:
    with reading(object(), [("scores", scores)]):
        scores += 1
        torch.topk = torch.sort
        if raised is not None:
            raise raised


def test_what_a_plugin_raises_without_writing_is_its_failure() -> None:
    with pytest.raises(PluginFailure, match="its own fault"), reading(object(), [("scores", torch.zeros(2))]):
        raise ValueError("its own fault")


def test_an_interrupt_in_the_middle_of_a_write_ends_the_run_and_torch_is_as_it_was() -> None:
    own = torch.topk
    with pytest.raises(KeyboardInterrupt):
        _write(torch.zeros(2), KeyboardInterrupt())
    assert torch.topk is own
