"""The command line's frame: commands, exit codes, one sentence for a user's mistake."""

import os
import sys

import click
import typer

from ... import UserError, __version__
from ...db.errors import StoreError
from . import doctor, inspect, listing, profile, results, run

EXIT_FAILED = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130

QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "LMEVAL_LOG_LEVEL": "ERROR",
}
"""Libraries' own bars and hints: the command line shows its own progress. A user's setting wins."""

app = typer.Typer(
    name="lukv-bench",
    help="Benchmark KV-cache eviction: any allocator with any scorer, evicted for real, on real tasks.",
    epilog="Start with: lukv-bench run --allocator lukv --scorer keydiff",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command("run")(run.run)
app.command("results")(results.results)
app.command("profile")(profile.profile)
app.command("inspect")(inspect.inspect)
app.command("list")(listing.list_)
app.command("doctor")(doctor.doctor)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of `lukv-bench`: 0 done, 1 something failed, 2 the user's mistake, 130 interrupted."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    sys.exit(_code())


def _code() -> int:
    try:
        returned = app(standalone_mode=False)
    except UserError as error:
        return _mistake(str(error))
    except StoreError as error:
        _mistake(str(error))
        return EXIT_FAILED
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return EXIT_USER
    except click.ClickException as error:
        return _mistake(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more
        return 0
    return returned if isinstance(returned, int) else 0


def _mistake(message: str) -> int:
    print(f"lukv-bench: {message}", file=sys.stderr)
    return EXIT_USER
