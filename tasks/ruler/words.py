"""The word lists that keys are made of, from the package `wonderwords`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from random import Random


@dataclass(frozen=True)
class WordLists:
    """Sorted and free of repetitions."""

    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]

    def key(self, rng: Random) -> str:
        """An "adjective-noun", both drawn independently.

        Differs from RULER: it draws from the sorted list of all 6 million pairs, which takes it a
        minute and 800 MB to build. Both draw every pair with the same chance.
        """
        return f"{rng.choice(self.adjectives)}-{rng.choice(self.nouns)}"


@cache
def plain_words() -> tuple[str, ...]:
    """Nouns, adjectives and verbs in one list, as RULER counts words."""
    return tuple(sorted({w for name in ("noun", "adjective", "verb") for w in _read(f"{name}list.txt")}))


def words_revision(words: Sequence[str]) -> str:
    """Hash over a list of words."""
    return sha256("\n".join(words).encode()).hexdigest()[:16]


@cache
def word_lists() -> WordLists:
    """Reads both lists once."""
    return WordLists(_read("adjectivelist.txt"), _read("nounlist.txt"))


def _read(name: str) -> tuple[str, ...]:
    # Importing it would read its lists in the locale's encoding, which may lack their letters.
    spec = find_spec("wonderwords")
    assert spec is not None, "a requirement of this package"
    assert spec.origin is not None
    text = Path(spec.origin).with_name("assets").joinpath(name).read_text(encoding="utf-8")
    return tuple(sorted({word for line in text.splitlines() if (word := line.strip())}))
