"""Runs programs of an environment in processes that have the libraries already, which take seconds to import.

python ready_server.py DESCRIPTOR

Run by the environment's own Python, with the descriptor of a socket. It imports libraries and nothing of lukv-bench: a
process that it forks finds this package, the plugins and their code as they are installed at that time. It ends
without freeing what the libraries hold, which takes 2 s; what goes wrong there shows in the installed program alone.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import site
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

LIBRARIES = (
    *("alembic.command", "lm_eval.api.task", "pydantic", "sqlalchemy.orm", "typer"),
    *("transformers.models.auto.tokenization_auto", "transformers.models.llama.modeling_llama"),
)


def serve(client: socket.socket) -> None:
    """A process for each request, one after the other; its answer is the exit code."""
    while True:
        request, streams, *_ = socket.recv_fds(client, 1 << 20, 3)
        if not request:
            return
        child = os.fork()
        if child == 0:
            client.close()
            become(json.loads(request), streams)
        for stream in streams:
            os.close(stream)
        client.send(bytes([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255]))


def become(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Go on as the program that is asked for."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    for folder in site.getsitepackages():
        site.addsitedir(folder)  # what was installed in editable mode since the server began
    sys.argv = request["arguments"]
    code: Any = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for its threads, as at any program's end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


for name in LIBRARIES:
    importlib.import_module(name)
gc.freeze()  # no process that is forked walks it
serve(socket.socket(fileno=int(sys.argv[1])))
