"""Models that an earlier version served wrongly are answered again; the configurations of all others are as before."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, processors

ROPE = {"rope_theta": 1e4, "rope_type": "dynamic", "factor": 2.0}


@pytest.fixture
def stored(lukv_bench: Any) -> Callable[[Path], dict[str, Any]]:
    """The configuration on record after a run of the full cache on a model."""

    def run(model: Path) -> dict[str, Any]:
        command = ("run", "--model", model, "--allocator", "full", "--no-baselines", "--tasks", "niah_single_1")
        ended = lukv_bench(*command, "--length", "400", "--limit", "1", "--db", "out.db")
        assert ended.code == 0, ended.err
        connection = sqlite3.connect("out.db")
        (spec,) = connection.execute("SELECT spec FROM configuration").fetchone()
        connection.close()
        return dict(json.loads(spec))

    return run


def test_an_ordinary_model_is_on_record_as_ever(tiny: Path, stored: Callable[[Path], dict[str, Any]]) -> None:
    spec = stored(tiny)
    assert "rotation" not in spec
    assert spec["chat_form"].startswith("chat-")


def test_a_rotary_embedding_that_depends_on_the_length(
    copy_of: Callable[[str], Path], change: Callable[..., None], stored: Callable[[Path], dict[str, Any]]
) -> None:
    folder = copy_of("model")
    change(folder / "config.json", rope_parameters=ROPE)
    assert stored(folder)["rotation"] == "whole-sequence"


@pytest.mark.parametrize("appends", [True, False])
def test_a_tokenizer_that_appends_eos(
    copy_of: Callable[[str], Path], stored: Callable[[Path], dict[str, Any]], appends: bool
) -> None:
    folder = copy_of("model")
    (folder / "chat_template.jinja").unlink()
    if appends:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        eos = ("<|im_end|>", tokenizer.token_to_id("<|im_end|>"))
        tokenizer.post_processor = processors.TemplateProcessing(single="$A <|im_end|>", special_tokens=[eos])
        tokenizer.save(str(folder / "tokenizer.json"))
    assert stored(folder)["chat_form"] == ("plain-without-eos" if appends else "plain")
