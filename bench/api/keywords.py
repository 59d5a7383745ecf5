"""Functions whose keywords are the fields of a dataclass."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Options = TypeVar("Options")
Result = TypeVar("Result")


def keywords_of(options: Callable[P, Options]) -> Callable[[Callable[[Options], Result]], Callable[P, Result]]:
    """Let a function of one options object be called with the fields of that object."""

    def decorate(function: Callable[[Options], Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            return function(options(*args, **kwargs))

        del call.__wrapped__  # its signature would be read instead
        call.__annotations__ = {}
        call.__signature__ = inspect.signature(options)  # type: ignore[attr-defined]  # read by inspect.signature
        return call

    return decorate
