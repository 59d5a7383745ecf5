"""What ends a command without being the user's mistake."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what there is to say about it."""


class PluginError(Exception):
    """A plugin broke its contract or raised, where nothing else is left to go on with: one sentence, exit code 1."""
