"""The process of one part of the GPU check: a request as JSON on stdin, a message as JSON on each line of stdout.

A process of its own, since after an illegal access to memory a process can use the card no more.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

Part = Literal["kernels", "timings", "cells"]
Send = Callable[..., None]
TRANSFORMERS = (5, 23)
"""The oldest whose caches the engine knows."""


@dataclass(frozen=True)
class Request:
    """What a worker is to do.

    Attributes:
        part: Whose checks.
        device: Name of the device.
        backend: Of the kernels.
        is_small: A rehearsal.
        share: (Number, all): this worker does every all-th check, from that number on.
        names: The checks left to do; None = those of its share.
    """

    part: Part
    device: str
    backend: str
    is_small: bool
    share: tuple[int, int] = (0, 1)
    names: tuple[str, ...] | None = None


def carry_out(request: Request, send: Send) -> bool:
    """Run the checks one after the other and say what came of each; False where the process can use the card no more.

    `send` is called with keywords: `todo` names the checks, `begun` one that begins, `step` what it is doing, and
    `done`, `wrong` and `data` say what came of it. A part that cannot begin sends `broken`, the reason.
    """
    from gpu_part import Place, outcome_of

    try:
        checks = _checks(request.part)(Place.of(request.device, request.backend, request.is_small))
    except Exception as error:  # a package that lacks, a model that is refused, memory that runs out
        send(broken=" ".join(f"{type(error).__name__}: {error}".split()))
        return True
    names = request.names or tuple(checks)[request.share[0] :: request.share[1]]
    send(todo=names)
    for name in names:
        send(begun=name)
        outcome, can_go_on = outcome_of(checks[name], lambda step: send(step=step))
        send(done=name, **asdict(outcome))
        if not can_go_on:
            return False
    return True


def _checks(part: Part) -> Callable[..., Mapping[str, Any]]:
    """Imported here: the parts of the kernels need no transformers."""
    if part == "kernels":
        from gpu_kernels import checks
    elif part == "timings":
        from gpu_timings import checks
    else:
        _refuse_old_transformers()
        from gpu_cells import checks
    return checks


def _refuse_old_transformers() -> None:
    found = version("transformers")
    if tuple(int(number) for number in found.split(".")[:2]) < TRANSFORMERS:
        raise RuntimeError(
            f"the cells need transformers {'.'.join(map(str, TRANSFORMERS))} or newer, and {found} is here; "
            "docs/gpu-check.md says which wheels to bring"
        )


def main() -> int:
    """Answer the request."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no message
    given = json.load(sys.stdin)
    names: Sequence[str] | None = given.pop("names")
    request = Request(**given | {"share": tuple(given["share"]), "names": None if names is None else tuple(names)})

    def send(**message: Any) -> None:
        print(json.dumps(message), file=out, flush=True)

    can_go_on = carry_out(request, send)
    out.flush()
    sys.stderr.flush()
    os._exit(0 if can_go_on else 3)  # a card that is lost can hang the usual end


if __name__ == "__main__":
    main()
