"""A model folder of a few hundred kilobytes, with random weights, and a text to calibrate on."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from lukv_bench.bench.calibration.documents import built_in_documents
from lukv_bench.bench.models.load import find_model
from lukv_bench.tasks.ruler.wording import NOISE

L, H, D, POSITIONS = 2, 2, 16, 2048
TEXT = " ".join(
    f"On day {day} the keeper wrote that lamp {day * 7 % 31} was lit at {day % 12} o'clock." for day in range(24)
)
QUESTIONS = "Which lamp was lit on day 3?\nWhen was the lamp lit on day 20?\n"


@cache
def small_tokenizer() -> Any:
    """Made like the default model's (bytes, chat template, special tokens), but a tenth of its size to load."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([document.text for document in built_in_documents()] + [NOISE] * 9, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|im_start|>", eos_token="<|im_end|>")
    made.chat_template = (find_model("smollm2-135m") / "chat_template.jinja").read_text(encoding="utf-8")
    return made


def make_model(folder: Path, seed: int = 0, kind: Any = LlamaConfig, **config: Any) -> Path:
    """A Llama, or another model, with random weights; nothing but "<|im_end|>" ends its answers early."""
    tokenizer = small_tokenizer()
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": L,
        "num_attention_heads": 4,
        "num_key_value_heads": H,
        "head_dim": D,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
        "initializer_range": 0.1,
    }
    model = AutoModelForCausalLM.from_config(kind(**settings | config))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def change_json(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
