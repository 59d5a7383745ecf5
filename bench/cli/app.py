"""The command line's entry point: commands, exit codes, one sentence for a user's mistake."""

import gc
import os
import sys

import typer

from ... import UserError, __version__
from ...db.errors import StoreError
from ..errors import PluginError, WorkerError, reason_of
from .command import UsageError
from .commands import Commands
from .messages import sentence
from .streams import Output, standard_streams

EXIT_FAILED = 1
EXIT_USER = 2

QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "LMEVAL_LOG_LEVEL": "ERROR",
}
"""Variables that silence the bars and hints of libraries, since the command line shows its own progress. A variable
that the user has set is kept."""

LM_EVALS_OWN = {"TQDM_DISABLE", "LMEVAL_LOG_LEVEL"}
"""Not set for the command `lm-eval`, which shows lm-eval's own bars and messages."""

app = typer.Typer(
    name="lukv-bench",
    cls=Commands,
    help="Benchmark KV-cache eviction: any allocator with any scorer, evicted for real, on real tasks.",
    epilog="Start with: lukv-bench run --allocator lukv --scorer keydiff",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Show the version and exit.")
) -> None:
    if version:
        print(__version__)
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Entry point: 0 done, 1 something failed, 2 the user's mistake, 130 interrupted (143 by SIGTERM)."""
    for name, value in QUIET.items():
        if sys.argv[1:2] != ["lm-eval"] or name not in LM_EVALS_OWN:
            os.environ.setdefault(name, value)
    if not os.environ.get("HOME", "nowhere"):
        del os.environ["HOME"]  # with an empty HOME the user's folders would be below /
    with standard_streams() as output:
        code = _code()
    gc.disable()  # Python would look for cycles among a million objects of torch at its end, which takes a second
    sys.exit(_checked(output, code))


def _checked(output: Output, code: int) -> int:
    """The exit code, considering failed output. A closed pipe is not a failure."""
    if output.failure is None or isinstance(output.failure, BrokenPipeError):
        return code
    reason = output.failure.strerror or str(output.failure)
    return _say(f"standard output cannot be written ({reason}); what was done is stored.", code or EXIT_FAILED)


def _code() -> int:
    try:
        returned = app(standalone_mode=False, prog_name="lukv-bench")
    except UserError as error:
        return _say(str(error), EXIT_USER)
    except (StoreError, PluginError, WorkerError) as error:
        return _say(str(error), EXIT_FAILED)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == __package__.partition(".")[0]:
            raise
        return _say(f"{reason_of(error)}; `lukv-bench doctor` says what is missing or broken.", EXIT_FAILED)
    except UsageError as error:
        message = getattr(error, "format_message", error.__str__)()
        command = getattr(getattr(error, "ctx", None), "command_path", "lukv-bench")
        return _say(f"{message.rstrip('.')}; see `{command} --help`.", EXIT_USER)
    return returned if isinstance(returned, int) else 0


def _say(message: str, code: int) -> int:
    """Print one line on stderr, whatever the message of a library or plugin contains."""
    print(sentence(f"lukv-bench: {message}"), file=sys.stderr)
    return code
