"""What ends a command without being the user's mistake."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what there is to say about it."""


class PluginError(Exception):
    """A plugin broke its contract or raised, where nothing else is left to go on with: one sentence, exit code 1."""


def without_frames(error: Exception | SystemExit) -> Exception:
    """An error to be kept for later: without its traceback, whose frames would keep their tensors alive.

    A plugin's SystemExit becomes a PluginError: it may end its own cell, not the run.
    """
    if isinstance(error, SystemExit):
        return PluginError(f"a plugin tried to end the program ({error.code})")
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
