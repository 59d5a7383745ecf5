"""Segments Chinese text as the original does: by jieba with its own dictionary."""

import string
import warnings
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

_PUNCTUATION = str.maketrans(
    "",
    "",
    string.punctuation
    + "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、"
    + "〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏",
)
"""The original's list; it lacks the opening 《, so a title scores with it."""


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """Every piece of the text, punctuation and white space included: joined they are the text.

    Cached, since every cell is scored against the same references.
    """
    cut: Iterable[str] = _segmenter().cut(text, cut_all=False)
    return tuple(cut)


def bare_words(text: str) -> list[str]:
    """The words in lower case and without punctuation; empty ones are left out."""
    bare = ("".join(word.lower().translate(_PUNCTUATION).split()) for word in words(text))
    return [word for word in bare if word]


@cache
def _segmenter() -> Any:
    """jieba's default segmenter, ready. Imported here: its dictionary takes a second, and only Chinese needs it.

    The dictionary is read from the package. By default jieba keeps a copy in the temporary folder, and would trust a
    file of that name from another user.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about pkg_resources and escapes: nothing that a user can act on
        import jieba

    segmenter = jieba.Tokenizer()
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter
