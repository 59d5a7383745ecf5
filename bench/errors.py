"""What ends a command without being the user's mistake."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what there is to say about it."""


class PluginError(Exception):
    """A plugin broke its contract or raised, where nothing else is left to go on with: one sentence, exit code 1."""


def without_frames(error: Exception) -> Exception:
    """An error to be kept for later: without its traceback, whose frames would keep their tensors alive."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
