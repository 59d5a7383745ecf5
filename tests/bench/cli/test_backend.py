"""`--backend`: what computes the kernels of a run, part of its configurations. These processes interpret Triton."""

from pathlib import Path
from typing import Any

import pytest

TASK = ("--tasks", "niah_single_1", "--length", "360", "--limit", "1", "--db", "out.db")
CELLS = ("--allocator", "adakv", "--scorer", "keydiff", "--ratio", "0.5", "--no-baselines")


def test_an_answer_through_the_kernels_is_that_of_plain_torch_and_another_configuration(
    lukv_bench: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lukv_bench.kernels.compact import triton as compact
    from lukv_bench.kernels.ragged_attention import triton as attention

    calls = {"compact": 0, "attend": 0}
    own_compact, own_attend = compact.compact, attention.ragged_attention

    def counted_compact(*args: Any) -> Any:
        calls["compact"] += 1
        return own_compact(*args)

    def counted_attend(*args: Any) -> Any:
        calls["attend"] += 1
        return own_attend(*args)

    command = ("run", "--model", tiny, *TASK, *CELLS, "--json")
    (plain,) = lukv_bench(*command).rows
    monkeypatch.setattr(compact, "compact", counted_compact)
    monkeypatch.setattr(attention, "ragged_attention", counted_attend)
    ended = lukv_bench(*command, "--backend", "triton-interpret")
    assert ended.code == 0, ended.err
    (row,) = ended.rows
    assert calls["compact"] == 2 * (2 + 1)  # layers, twice in the check of the model and once in the run
    assert calls["attend"] > calls["compact"]
    assert (plain["spec"]["attention"], row["spec"]["attention"]) == ("ragged-torch", "ragged-triton-interpret")
    assert row["spec"] == plain["spec"] | {"attention": "ragged-triton-interpret"}
    assert row["configuration"] != plain["configuration"]
    same = "kv_tokens_kept", "kv_bytes_kept", "score", "protected"
    assert [row.get(name) for name in same] == [plain.get(name) for name in same]
    texts = [answer["text"] for answer in lukv_bench("results", "--db", "out.db", "--answers", "--json").rows]
    assert len(texts) == 2
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cuda", "there is no backend 'cuda'; use one of auto, torch, triton, triton-interpret."),
        ("triton", "the backend triton needs a GPU, and the tensors are on cpu; use torch or auto."),
    ],
)
def test_a_backend_that_cannot_be_had_is_refused(lukv_bench: Any, tiny: Path, name: str, sentence: str) -> None:
    text = Path("text.txt")
    text.write_text("The keeper wrote that the lamp was lit. " * 12)
    for command in (("run", *TASK, *CELLS), ("inspect", "--context", text)):
        ended = lukv_bench(*command, "--model", tiny, "--device", "cpu", "--backend", name)
        assert ended.code == 2
        assert ended.sentences[-1] == f"lukv-bench: {sentence}"
    assert not Path("out.db").exists()
