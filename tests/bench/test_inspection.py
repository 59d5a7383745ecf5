"""Which characters every inspected token ends."""

from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from lukv_bench.bench.engine.prompt import cut_at_context, render
from lukv_bench.bench.inspection.inspection import _texts
from lukv_bench.bench.models.load import find_model

TEXT = "The keeper lit the lamp at nine and wrote it down. "


@pytest.fixture(params=["chat", "plain"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """One that puts a BOS in front by itself, as Llama's does."""
    made = AutoTokenizer.from_pretrained(find_model("smollm2-135m"))
    front = TemplateProcessing(single=f"{made.bos_token} $A", special_tokens=[(made.bos_token, made.bos_token_id)])
    made.backend_tokenizer.post_processor = front
    if request.param == "plain":
        made.chat_template = None
    return made


@pytest.mark.parametrize("with_bos", [False, True])
def test_every_token_has_its_own_text_whoever_puts_the_bos_in_front(tokenizer: Any, with_bos: bool) -> None:
    text = (tokenizer.bos_token if with_bos else "") + TEXT
    prompt = render(tokenizer, text)
    ids, _ = cut_at_context(tokenizer, prompt, text.strip())
    texts = _texts(tokenizer, prompt)
    assert len(texts) == len(ids)
    assert "".join(texts) == prompt
    for token, own in zip(ids, texts, strict=True):
        assert own in ("", tokenizer.decode([token]))
