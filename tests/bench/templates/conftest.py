"""Chat templates and tokenizers as published models have them, in small."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from lukv_bench.bench.engine.ready import prove_attention
from lukv_bench.bench.models.load import LoadedModel, ModelShape
from lukv_bench.bench.models.template import settle_template

BOS, EOS = "<s>", "</s>"
SPECIAL = [BOS, EOS, "<|im_start|>", "<|im_end|>"]
TURNS = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
OPEN = "{% if add_generation_prompt %}<|im_start|>assistant\n"
CHAT = TURNS + OPEN + "{% endif %}"
TEMPLATES: Mapping[str, str | None] = {
    "none": None,
    "chat": CHAT,
    "bos": "{{ bos_token }}" + CHAT,
    "default system": "<|im_start|>system\nYou are of help.<|im_end|>\n" + CHAT,
    "instruction": "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %}{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}",
    "trims": "{% for m in messages %}### {{ m['role'] }}:\n{{ m['content'] | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant:\n{% endif %}",
    "trims the left": "{% for m in messages %}{{ m['role'] }}> {{ m['content'].lstrip() }}\n{% endfor %}assistant> ",
    "no head": "{% for m in messages %}{{ m['content'] }}\n{% endfor %}",
    "adds to a turn": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% if m['role'] == 'user' %}\nBe brief.{% endif %}<|im_end|>\n{% endfor %}" + OPEN + "{% endif %}",
    "date": "{{ bos_token }}Today is {{ strftime_now('%B %d, %Y') }}.\n" + CHAT,
    "date string": "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n"
    '        {%- set date_string = strftime_now("%d %b %Y") %}\n    {%- else %}\n'
    '        {%- set date_string = "26 Jul 2024" %}\n    {%- endif %}\n{%- endif %}\n'
    '{{- "Today Date: " + date_string + "\\n\\n" }}\n' + CHAT,
    "date in a macro": "{% macro head() %}{% set day = strftime_now('%Y-%m-%d') %}{{ day.split('-')[0] }}/{{ day }}"
    "{% endmacro %}{{ head() }}\n" + CHAT,
    "date with tools": "{% if tools %}{{ strftime_now('%Y') }}{% endif %}" + CHAT,
    "strict roles": "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + CHAT,
    "system required": "{% if messages[0]['role'] != 'system' %}{{ raise_exception('a system turn is required') }}"
    "{% endif %}" + CHAT,
    "no prefill": "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('the last turn must be a user turn') }}"
    "{% endif %}" + CHAT,
    "upper case": CHAT.replace("m['content']", "(m['content'] | upper if m['role'] == 'user' else m['content'])"),
    "repeats": "{% for m in messages %}{{ m['content'] }}\nAgain: {{ m['content'] }}\n{% endfor %}",
    "thinking switch": TURNS + OPEN + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n"
    "</think>\n\n{% endif %}{% endif %}",
    "thinking off at first": "{% if thinking is not defined %}{% set thinking = false %}{% endif %}"
    + TURNS + OPEN + "{% if thinking %}<think>\n{% else %}</think>\n{% endif %}{% endif %}",
    "thinking word in the turn": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{{ '/nothink' if (m['role'] == 'user' and enable_thinking is defined and not enable_thinking) }}<|im_end|>\n"
    "{% endfor %}" + OPEN + "{{ '<think></think>\n' if (enable_thinking is defined and not enable_thinking) }}"
    "{% endif %}",
    "thinking opened": TURNS + OPEN + "<think>\n{% endif %}",
    "thinking opened at every answer": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}<think>\n\n{% endif %}{{ m['content'] }}<|im_end|>\n{% endfor %}"
    + OPEN + "<think>\n\n{% endif %}",
    "thoughts stripped": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}"
    "{{ m['content'].split('</think>')[-1] }}{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
    + OPEN + "{% endif %}",
}  # fmt: skip


def _processor(front: str, behind: str) -> TemplateProcessing:
    return TemplateProcessing(single=f"{front} $A {behind}".strip(), special_tokens=[(BOS, 0), (EOS, 1)])


TEXTS = ["The ferryman keeps lanterns and notes. What is the special magic number? assistant user system\n"] * 9


@cache
def _backend(kind: str) -> str:
    """The tokenizer's JSON: bytes as GPT-2's, pieces as Llama's, or bytes behind a normaliser."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if kind == "pieces":
        made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        made.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        special = [*SPECIAL, "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
        made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=500, special_tokens=special))
        return str(made.to_str())
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "prefix space")
    made.decoder = decoders.ByteLevel()
    if kind == "lower case":
        made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator(TEXTS, trainer)
    return str(made.to_str())


TOKENIZERS = ("bytes", "BOS", "BOS and EOS", "EOS", "prefix space", "pieces", "lower case", "plain marks", "no BOS")


def make_tokenizer(kind: str, template: str) -> Any:
    """A fast tokenizer of one of the kinds above with one of the templates above, as it comes from its folder."""
    of_backend = kind if kind in ("prefix space", "pieces", "lower case") else "bytes"
    backend = Tokenizer.from_str(_backend(of_backend))
    front, behind = BOS if kind in ("BOS", "BOS and EOS", "pieces") else "", EOS if "EOS" in kind else ""
    if front or behind:
        backend.post_processor = _processor(front, behind)
    if kind == "plain marks":
        backend.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=None if kind == "no BOS" else BOS, eos_token=EOS
    )
    tokenizer.chat_template = TEMPLATES[template]
    return tokenizer


VARIANTS = [
    *(("bytes", template) for template in TEMPLATES),
    *((kind, "chat") for kind in TOKENIZERS[1:]),
    *(("BOS", template) for template in ("none", "bos", "no head", "date string", "trims")),
    *(("BOS and EOS", template) for template in ("none", "bos", "instruction")),
    *(("pieces", template) for template in ("none", "instruction", "trims")),
    *(("plain marks", template) for template in ("thinking switch", "thinking opened")),
    ("lower case", "none"),
    ("prefix space", "none"),
]
"""(tokenizer, template)."""


@pytest.fixture(params=VARIANTS, ids=" + ".join)
def variant(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A kind of tokenizer and a template."""
    kind, template = request.param
    return kind, template


@pytest.fixture(scope="session")
def tokenizer_of() -> Callable[[str, str], Any]:
    return make_tokenizer


@pytest.fixture(scope="session")
def load_with() -> Callable[..., LoadedModel]:
    """A tiny model with a tokenizer, whose template is settled as when a model is loaded."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=600, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=1024, initializer_range=0.4,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    shape = ModelShape(n_layers=1, n_kv_heads=1, n_query_heads=2, head_dim=8, max_positions=1024)
    loaded = LoadedModel("tiny", Path("tiny"), "none", model, None, shape, "float32", frozenset({1}))
    prove_attention(loaded)

    def load_with(tokenizer: Any, thinking: bool = False) -> LoadedModel:
        settled = settle_template(tokenizer, thinking)
        return replace(loaded, tokenizer=tokenizer, thinking=settled.thinking, template_record=settled.record)

    return load_with
