"""`lukv-bench lm-eval`."""

import json
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from ... import UserError

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
"""What stands behind the command is lm-eval's, its options and --help included."""


def lm_eval(context: typer.Context) -> int:
    """Run lm-eval's own command line with the model class `lukv`, whose KV cache is evicted after the context.

    lukv-bench lm-eval run --model lukv --model_args pretrained=M,allocator=uniform,scorer=keydiff,ratio=0.5 --tasks T

    Everything is passed on; `lukv-bench lm-eval run --help` is lm-eval's own help.

    --model_args of lukv: pretrained (alias, hub id or folder), allocator, scorer, ratio or keep_tokens, protocol
    (agnostic or aware), sink, window, truncation (refuse or middle), max_length, seed, device, dtype, enable_thinking,
    think_end_token; defaults as in `lukv-bench run`. A plugin's arguments follow its name; from the second on they
    stand behind a semicolon, since lm-eval splits at commas: "scorer=NAME:a=1;b=2".

    The context ends where the document's field `context` ends, in RULER's tasks where the question opens. Where a
    task tells nothing, the whole prompt but its last token is evicted, which is said on stderr. Multiple-choice and
    perplexity tasks work, too: what follows the context is scored over the evicted cache.
    """
    arguments = list(context.args)
    _refuse_cache(arguments)
    _quiet_hints()
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    from ..lmeval_client import model  # noqa: F401  # importing it registers the model class

    setup_logging()
    before, sys.argv = sys.argv, ["lukv-bench lm-eval", *_completed(arguments)]
    try:
        cli = HarnessCLI()
        cli.execute(cli.parse_args())
    except ImportError as error:
        raise UserError(f"lm-eval lacks what this command needs: {error}") from error
    except (ValueError, TypeError, OSError) as error:
        if not _is_users(error):
            raise
        raise UserError(f"lm-eval refuses the command: {error}") from error
    finally:
        sys.argv = before
    return 0


def _quiet_hints() -> None:
    """lm-eval advises for each task with samples of its own how to pass metadata; once is in its README."""
    import logging

    logging.getLogger("lm_eval.api.task").addFilter(lambda record: "Custom kwargs can be passed" not in record.msg)


def _completed(arguments: Sequence[str]) -> list[str]:
    """The arguments with what lm-eval would get wrong.

    lm-eval asks for cuda:0 where no device was named, and its RULER tasks load the tokenizer by the model's name,
    which for an alias of ours is a folder.
    """
    if "run" not in arguments and not any(word.startswith("-") for word in arguments):
        return list(arguments)
    added = []
    given = " ".join(arguments)
    if _is_ours(arguments) and not re.search(r"(^| )(--device|--config|-C)\b", given):
        from ..models.load import resolve_device

        added += ["--device", str(resolve_device(None))]
    if folder := _alias_folder(given):
        added += ["--metadata", json.dumps({"tokenizer": str(folder)})]
    at = arguments.index("run") + 1 if "run" in arguments else 0
    return [*arguments[:at], *added, *arguments[at:]]


def _refuse_cache(arguments: Sequence[str]) -> None:
    """Before the model is loaded; the model class refuses what a configuration file asks for."""
    if _is_ours(arguments) and any(re.match(r"(--use_cache|-c)(=|$)", word) for word in arguments):
        from ..lmeval_client.arguments import NO_CACHE

        raise UserError(NO_CACHE)


def _is_ours(arguments: Sequence[str]) -> bool:
    return re.search(r"(^| )(--model|-M)[ =]lukv( |$)", " ".join(arguments)) is not None


def _alias_folder(given: str) -> Path | None:
    from ..models.aliases import ALIASES
    from ..models.find import find_model

    found = re.search(r"pretrained\W{1,5}([\w.-]+)", given)
    return find_model(found[1]) if found and found[1] in ALIASES else None


def _is_users(error: Exception) -> bool:
    """Whether lm-eval was still finding out what was asked for, or getting its data, and not yet evaluating."""
    frames = traceback.extract_tb(error.__traceback__)
    files = {Path(frame.filename).name for frame in frames}
    downloads = isinstance(error, OSError) and any(frame.name == "download" for frame in frames)
    return downloads or "evaluate_config.py" in files or frames[-1].name in {"get_model", "simple_evaluate"}
