"""A letter tokenizer, and what the tests of calibration ask about."""

from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lukv_bench.allocators.lukv import LUKV
from lukv_bench.bench.calibration.calibrate import Target
from lukv_bench.bench.calibration.documents import Document
from lukv_bench.scorers.base import Protection
from lukv_bench.scorers.keydiff import KeyDiff

LETTERS = "abcdefghijklmnopqrstuvwxyz .?\n"
N_LAYERS, HQ, H, D = 2, 6, 2, 8
G = HQ // H
TEXT = "the quick brown fox jumps over the lazy dog. " * 5
DOCUMENT = Document("fox", TEXT.strip(), ("who jumps?", "over what does it jump?", "how is the dog?"))
TARGETS = {
    "keydiff": Target(KeyDiff(), Protection(4, 1), LUKV.calibration),
    "wide": Target(KeyDiff(), Protection(2, 30), LUKV.calibration),
}


def letter_tokenizer() -> Any:
    vocabulary = {letter: i for i, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def silent(_doing: str, _done: int, _total: int) -> None:
    pass
