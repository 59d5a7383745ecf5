"""Messages on stderr: one line of printable characters, whatever names they contain."""

from ..errors import printable

LONGEST = 400
"""Characters of a message: three lines of a wide terminal."""

LONGEST_WORD = 160
"""Characters of a word, so that a long name leaves room for the rest of the message."""


def sentence(text: str, longest: int = LONGEST) -> str:
    """The text on one line: control characters escaped, words and the whole shortened in their middles."""
    words = " ".join(shortened(word, LONGEST_WORD) for word in printable(" ".join(text.split())).split(" "))
    return shortened(words, longest)


def shortened(text: str, longest: int) -> str:
    """A text of at most `longest` characters: its beginning and its end, which say what was wrong and what to do."""
    if len(text) <= longest:
        return text
    kept = longest - len(" ... ")
    return f"{text[: kept - kept // 2]} ... {text[-(kept // 2) :]}"
