"""Checks an lm-eval command with our model class before lm-eval indexes its tasks, and completes its options."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ... import UserError
from ..models.aliases import ALIASES
from ..models.find import check_model_name, find_model
from .arguments import NO_CACHE, ask_method, parse_arguments


def complete(options: Namespace) -> None:
    """Check and complete a parsed `run` command in place; one with another model class stays as it is.

    lm-eval asks for cuda:0 where no device was named, names its output folder by `pretrained`, and its RULER tasks load
    the tokenizer by that name, which for an alias of ours is no model of the hub.

    Raises:
        UserError: --model_args that the model class refuses, or lm-eval's response cache.
    """
    settings = _settings(options)
    if settings.get("model") != "lukv":
        return
    if settings.get("use_cache"):
        raise UserError(NO_CACHE)
    model_args = _mapping(settings.get("model_args"))
    arguments = parse_arguments(dict(model_args))
    ask_method(arguments)
    check_model_name(arguments.pretrained)
    options.model_args = {**model_args, "pretrained": arguments.pretrained}
    if settings.get("device") is None:
        from ..models.devices import AUTO, Spread, resolve_place

        place = resolve_place(arguments.device)
        options.device = AUTO if isinstance(place, Spread) else str(place)
    if arguments.pretrained in ALIASES or Path(arguments.pretrained).expanduser().is_dir():
        tokenizer = {"tokenizer": str(find_model(arguments.pretrained))}
        options.metadata = tokenizer | dict(_mapping(settings.get("metadata")))


def _settings(options: Namespace) -> dict[str, Any]:
    """The settings of a configuration file, overridden by those of the command line."""
    typed = {name: value for name, value in vars(options).items() if value is not None}
    if not (file := typed.get("config")):
        return typed
    from lm_eval.config.evaluate_config import EvaluatorConfig

    try:
        return dict(EvaluatorConfig.load_yaml_config(file)) | typed
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"lm-eval refuses the command: {error}") from error


def _mapping(value: Any) -> Mapping[str, Any]:
    """Arguments as lm-eval takes them: a mapping, or "key=value,..."."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    from lm_eval.utils import simple_parse_args_string

    try:
        return dict(simple_parse_args_string(str(value)))
    except ValueError as error:
        raise UserError(f"lm-eval takes arguments as key=value,..., not {value!r}.") from error
