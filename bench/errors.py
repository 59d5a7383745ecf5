"""What ends a command without being the user's mistake."""

EXIT_INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or another signal to end, with what there is to say about it.

    Attributes:
        exit_code: 128 and the signal's number, as shells have it.
    """

    def __init__(self, message: str = "", exit_code: int = EXIT_INTERRUPTED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class PluginError(Exception):
    """A plugin broke its contract or raised, where nothing else is left to go on with: one sentence, exit code 1."""


LONGEST_MESSAGE = 300
"""Printable characters of a message by somebody else."""


def one_line(text: str) -> str:
    """A text by somebody else as one line that any terminal and any database takes."""
    words = " ".join(text[: 4 * LONGEST_MESSAGE].split())
    shown = printable(words)
    return shown if len(shown) <= LONGEST_MESSAGE else f"{shown[: LONGEST_MESSAGE - 4]} ..."


def printable(text: str) -> str:
    """A line with every character that is none, such as a control character, written as its escape."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class PluginFailure(Exception):
    """What a plugin raised, as one line: type, message, file and line.

    Attributes:
        reason: The message alone, or the type where there is none.
        trace: The whole traceback as text.
    """

    def __init__(self, message: str, reason: str = "", trace: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message
        self.trace = trace


class ViewError(Exception):
    """The model does not have what a scorer asks to see, or not where it is looked for."""


class WriteError(Exception):
    """A plugin changed what it was shown, which is for reading."""


def message_of(error: BaseException) -> str:
    """An exception's message as one printable line; its `__str__` may be anybody's."""
    try:
        return one_line(str(error))
    except BaseException:  # a stranger's code, once more
        return "its message cannot be read"


def first_line(error: Exception) -> str:
    """The first line of a library's message, and the next where it ends in a colon; the type where there is none."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return one_line(" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])


def reason_of(error: Exception) -> str:
    """Why an answer failed, as it is stored: one line."""
    return str(error) if isinstance(error, PluginFailure) else f"{type(error).__name__}: {message_of(error)}"


def without_frames(error: Exception | SystemExit) -> Exception:
    """An error to be kept for later: without its traceback, whose frames would keep their tensors alive.

    A plugin's SystemExit becomes a PluginError: it may end its own cell, not the run.
    """
    if isinstance(error, SystemExit):
        return PluginError(f"a plugin tried to end the program ({error.code})")
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
