"""Errors that end a command and are not the user's mistake, and how messages of other code are shown."""

EXIT_INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or a signal to terminate. The message says what was stored.

    Attributes:
        exit_code: 128 plus the signal's number, as in shells.
    """

    def __init__(self, message: str = "", exit_code: int = EXIT_INTERRUPTED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class PluginError(Exception):
    """A plugin raised or broke its contract, and the command cannot continue without it: one sentence, exit code 1."""


class WorkerError(Exception):
    """The workers of a run cannot start or are gone, and it cannot continue: one sentence, exit code 1."""


LONGEST_MESSAGE = 300
"""Longest message of a library or plugin, in printable characters."""


def one_line(text: str) -> str:
    """A text of a library or plugin as one short, printable line."""
    words = " ".join(text[: 4 * LONGEST_MESSAGE].split())
    shown = printable(words)
    return shown if len(shown) <= LONGEST_MESSAGE else f"{shown[: LONGEST_MESSAGE - 4]} ..."


def printable(text: str) -> str:
    """A line with each unprintable character, such as a control character, replaced by its escape sequence."""
    if text.isprintable():  # nearly all are, and large tables have many
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class PluginFailure(Exception):
    """What a plugin raised, as one line: type, message, file and line.

    Attributes:
        reason: The message alone, or the type if there is no message.
        trace: The whole traceback as text.
    """

    def __init__(self, message: str, reason: str = "", trace: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message
        self.trace = trace


class ViewError(Exception):
    """The model does not have what a scorer reads, or has it in an unknown place."""


class WriteError(Exception):
    """A plugin changed something that it may only read."""


def message_of(error: BaseException) -> str:
    """An exception's message as one printable line."""
    try:
        return one_line(str(error))
    except BaseException:  # `__str__` of a plugin's exception may raise, too
        return "its message cannot be read"


def first_line(error: Exception) -> str:
    """The first line of a library's message, with the next if it ends in a colon; the type if there is no message."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return one_line(" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])


def reason_of(error: Exception) -> str:
    """Why an answer failed, as it is stored: one line."""
    return str(error) if isinstance(error, PluginFailure) else f"{type(error).__name__}: {message_of(error)}"


def without_frames(error: Exception | SystemExit) -> Exception:
    """The error without its traceback, whose frames would keep tensors alive.

    A plugin's SystemExit becomes a PluginError, so that it ends its own cell and not the run.
    """
    if isinstance(error, SystemExit):
        return PluginError(f"a plugin tried to end the program ({error.code})")
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
