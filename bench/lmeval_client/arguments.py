"""The `--model_args` of the model class `lukv`, checked before a model is loaded."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ... import UserError
from ..methods.budget import Budget, parse_budgets
from ..methods.incremental import check_schedules
from ..methods.method import Method, build_methods
from ..methods.oracles import refuse_oracles
from ..methods.schedule import DEFAULT_SCHEDULE, Schedule, parse_schedule
from ..record.configuration import RunProtocol
from ..suggest import unknown

Truncation = Literal["refuse", "middle"]

ARGUMENT_NAMES = (
    "pretrained",
    "allocator",
    "scorer",
    "ratio",
    "keep_tokens",
    "schedule",
    "protocol",
    "sink",
    "window",
    "truncation",
    "max_length",
    "context_field",
    "seed",
    "device",
    "dtype",
    "backend",
    "enable_thinking",
    "think_end_token",
)
PASSED_BY_LM_EVAL = ("batch_size", "max_batch_size")
"""lm-eval hands these to every model class. Each prompt is evicted alone, so they change nothing."""

NO_CACHE = (
    "lm-eval's --use_cache knows neither allocator nor ratio and would give one method's answers as another's; leave "
    "it out with the model class lukv."
)


@dataclass(frozen=True)
class ModelArguments:
    """The arguments of the model class.

    Attributes:
        pretrained: Alias, hub id or folder.
        allocator: As on our own command line, "name" or "name:key=value,...".
        scorer: The same.
        schedule: When the context is evicted.
        truncation: How prompts longer than `max_length` are handled: "refuse", or "middle" = the middle of the context
            is cut.
        max_length: Tokens of prompt and answer together; None = the model's positions.
        seed: For methods that draw at random.
        context_field: The field of a task's documents that holds the context; None = `context`, where there is one.
        enable_thinking: Whether to enable thinking. lm-eval's `hf` leaves it to the template by default.
        think_end_token: Text that ends the thoughts; None = as the chat template has it.
    """

    pretrained: str
    allocator: str
    scorer: str
    budget: Budget
    schedule: Schedule
    protocol: RunProtocol
    sink: int | None
    window: int | None
    truncation: Truncation
    max_length: int | None
    seed: int
    device: str | None
    dtype: str | None
    backend: str | None
    context_field: str | None = None
    enable_thinking: bool = False
    think_end_token: str | None = None


def parse_arguments(values: dict[str, Any]) -> ModelArguments:
    """Read the arguments; lm-eval has turned texts that look like numbers into numbers.

    Raises:
        UserError: an argument is unknown or of the wrong type.
    """
    values = {name: value for name, value in values.items() if value is not None and name not in PASSED_BY_LM_EVAL}
    for name in values:
        if name not in ARGUMENT_NAMES:
            raise _unknown(name)
    ratio = [str(values["ratio"])] if "ratio" in values else []
    keep_tokens = _count(values, "keep_tokens", least=0)
    (budget,) = parse_budgets(ratio, [] if keep_tokens is None else [keep_tokens])
    return ModelArguments(
        pretrained=str(values.get("pretrained", "smollm2-135m")),
        allocator=plugin_text(str(values.get("allocator", "lukv"))),
        scorer=plugin_text(str(values.get("scorer", "keydiff"))),
        budget=budget,
        schedule=parse_schedule(str(values.get("schedule", DEFAULT_SCHEDULE))),
        protocol=_choice(values, "protocol", get_args(RunProtocol)),
        sink=_count(values, "sink", least=0),
        window=_count(values, "window", least=0),
        truncation=_choice(values, "truncation", get_args(Truncation)),
        max_length=_count(values, "max_length", least=2),
        seed=_count(values, "seed", least=0) or 0,
        device=str(values["device"]) if "device" in values else None,
        dtype=None if values.get("dtype", "auto") == "auto" else str(values["dtype"]),
        backend=str(values["backend"]) if "backend" in values else None,
        context_field=_field(values),
        enable_thinking=_switch(values, "enable_thinking"),
        think_end_token=_think_end(values),
    )


def ask_method(arguments: ModelArguments) -> Method:
    """The method that the arguments name; needs no model.

    Raises:
        UserError: an unknown or broken plugin, or its arguments.
    """
    allocators, scorers, budgets = [arguments.allocator], [arguments.scorer], [arguments.budget]
    protected = arguments.sink, arguments.window
    (method,) = build_methods(allocators, scorers, budgets, *protected, False, [arguments.schedule])
    check_schedules([method])
    refuse_oracles([method])
    return method


def plugin_text(text: str) -> str:
    """A plugin in the form of our own command line.

    lm-eval splits model arguments at commas, so a second argument of a plugin is written after a semicolon
    ("snapkv:window=32;kernel=7"), or the whole value stands in quotes.
    """
    return re.sub(r";(?=\w+=)", ",", text)


def _unknown(name: str) -> UserError:
    if name == "trust_remote_code":
        return UserError("the model class lukv never runs a model's own code; leave out trust_remote_code.")
    if name == "tokenizer":
        return UserError("the model class lukv uses the model's own tokenizer; give a task's tokenizer in --metadata.")
    hint = unknown("model argument", name, ARGUMENT_NAMES)
    return UserError(f"{hint} (a plugin's second argument is written after a semicolon: scorer=NAME:a=1;b=2)")


def _count(values: dict[str, Any], name: str, least: int) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    try:
        count = int(str(value))
    except ValueError:
        raise UserError(f"the model argument {name} takes a whole number, not {value!r}.") from None
    if count < least:
        raise UserError(f"the model argument {name} takes a number of at least {least}, not {count}.")
    return count


def _field(values: dict[str, Any]) -> str | None:
    if "context_field" not in values:
        return None
    if not (name := str(values["context_field"]).strip()):
        raise UserError("the model argument context_field names a field of a task's documents, such as passage.")
    return name


def _switch(values: dict[str, Any], name: str) -> bool:
    value = str(values.get(name, False))
    if value.lower() not in ("true", "false"):
        raise UserError(f"the model argument {name} is True or False, not {value!r}.")
    return value.lower() == "true"


def _think_end(values: dict[str, Any]) -> str | None:
    if "think_end_token" not in values:
        return None
    if not _switch(values, "enable_thinking"):
        raise UserError("the model argument think_end_token goes with enable_thinking=True; give both or neither.")
    token = values["think_end_token"]
    if not isinstance(token, str) or not token or token.isdigit():
        raise UserError(f"the model argument think_end_token takes a text such as </think>, not {token!r}.")
    return token


def _choice(values: dict[str, Any], name: str, choices: tuple[str, ...]) -> Any:
    """The word given, or the first choice."""
    value = values.get(name, choices[0])
    if value not in choices:
        raise UserError(f"the model argument {name} is {' or '.join(choices)}, not {value!r}.")
    return value
