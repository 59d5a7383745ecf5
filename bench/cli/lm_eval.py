"""`lukv-bench lm-eval`."""

import sys
import traceback
from argparse import Namespace
from pathlib import Path

import typer

from ... import UserError


def lm_eval(context: typer.Context) -> int:
    """Run lm-eval's own command line with the model class `lukv`, whose KV cache is evicted after the context.

    lukv-bench lm-eval run --model lukv --model_args pretrained=M,allocator=uniform,scorer=keydiff,ratio=0.5 --tasks T

    Without pretrained it is the default model, without allocator lukv.

    Everything is passed on; `lukv-bench lm-eval run --help` is lm-eval's own help.

    --model_args of lukv: pretrained (alias, hub id or folder), allocator, scorer, ratio or keep_tokens, protocol
    (agnostic or aware), sink, window, truncation (refuse or middle), max_length, context_field, seed, device, dtype,
    backend, enable_thinking, think_end_token; defaults as in `lukv-bench run`. A plugin's arguments follow its name;
    from the second on they are separated by semicolons, since lm-eval splits at commas: "scorer=NAME:a=1;b=2".

    The context ends where the document's field `context` ends (context_field=NAME: that field), in RULER's tasks where
    the question opens. If a task does not show it, the whole prompt but its last token is evicted, with a note on
    stderr. Multiple-choice and perplexity tasks work, too: what follows the context is scored over the evicted cache.
    """
    _quiet_hints()
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    setup_logging()
    before, sys.argv = sys.argv, ["lukv-bench lm-eval", *context.args]
    try:
        cli = HarnessCLI()
        arguments = cli.parse_args()
        if arguments.command == "run":
            _register(arguments)
        cli.execute(arguments)
    except ImportError as error:
        raise UserError(f"lm-eval lacks what this command needs: {error}") from error
    except (ValueError, TypeError, OSError) as error:
        if not _is_users(error):
            raise
        raise UserError(f"lm-eval refuses the command: {error}") from error
    finally:
        sys.argv = before
    return 0


def _register(arguments: Namespace) -> None:
    """Check the arguments of our model class before lm-eval reads all its task files, and register the class."""
    import lm_eval.models  # noqa: F401  # lm-eval imports its own classes only if none is registered, and ours will be

    from ..lmeval_client.command import complete

    complete(arguments)
    from ..lmeval_client import model  # noqa: F401  # importing it registers the model class


def _quiet_hints() -> None:
    """Silence lm-eval's advice on metadata, which it repeats for each task with custom samples."""
    import logging

    logging.getLogger("lm_eval.api.task").addFilter(lambda record: "Custom kwargs can be passed" not in record.msg)


def _is_users(error: Exception) -> bool:
    """Whether lm-eval failed while it read the command or fetched data, before the evaluation."""
    frames = traceback.extract_tb(error.__traceback__)
    files = {Path(frame.filename).name for frame in frames}
    downloads = isinstance(error, OSError) and any(frame.name == "download" for frame in frames)
    return downloads or "evaluate_config.py" in files or frames[-1].name in {"get_model", "simple_evaluate", "evaluate"}
