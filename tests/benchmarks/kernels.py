"""What every op of the kernels takes and moves, in every backend, at the shapes of real models.

    python tests/benchmarks/kernels.py [--budgets FOLDER] [--models NAME ...] [--tokens N ...] [--evicted SHARE ...]
                                       [--dtype NAME] [--json PATH]

One layer at a time, random keys and values, one sequence; heads keep what uniform, LU-KV's shipped profile and measured
budgets (TANGRAM's profiles in FOLDER) give the layer whose heads are the most unequal. A result is compared with plain
torch first: where it differs by more than the op allows, no seconds are shown and the exit code is 1.

On a GPU: the median of repeated runs after a warm-up (CUDA events), and the floor of bytes over it, beside the
bandwidth of a large copy on the same card. Without one: the torch backend's seconds on the CPU, and the bytes that the
Triton kernels move while the interpreter executes them at a short length, over the floor. The table says which.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

ON_GPU = torch.cuda.is_available()
if not ON_GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # read by `import triton`: bytes are counted in the interpreter
_ROOT = Path(__file__).resolve().parents[2]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]

from kernel_measures import Row, copy_bytes_per_s, counted, row, seconds  # noqa: E402 - after the environment is set
from kernel_ops import Job, Layer, eviction_jobs, scoring_jobs  # noqa: E402
from kernel_report import print_table, write_json  # noqa: E402
from kernel_shapes import MODELS, Shape, head_counts  # noqa: E402

from lukv_bench.kernels.backend import Backend  # noqa: E402

COUNTED_TOKENS = 512
"""Context of the counts in the interpreter, of two KV heads."""
NO_GPU = """No GPU here: NO FIGURE OF A GPU WAS MEASURED. Seconds are plain torch's on this CPU; bytes are those of the
kernels' own loads and stores, counted while Triton's interpreter executed them over a context of 512 tokens."""


def jobs(shape: Shape, n_tokens: int, given: argparse.Namespace) -> Iterator[tuple[str, float | None, Job]]:
    """(budget, share evicted, op) of one model and length."""
    device = torch.device("cuda" if ON_GPU else "cpu")
    layer = Layer.random(shape, n_tokens, getattr(torch, given.dtype), device)
    for job in scoring_jobs(layer):
        yield "-", None, job
    for evicted in given.evicted:
        for heads in head_counts(shape, n_tokens, evicted, given.budgets):
            for job in eviction_jobs(layer, heads.counts):
                yield heads.source, evicted, job


def timed(shape: Shape, n_tokens: int, given: argparse.Namespace, copy: float | None) -> Iterator[Row]:
    """A row for each op and backend of one model and length, with seconds where the result is right."""
    backends: tuple[Backend, ...] = ("torch", "triton") if ON_GPU else ("torch",)
    for budget, evicted, job in jobs(shape, n_tokens, given):
        print(f"{shape.name}, {n_tokens:,} tokens, {budget}: {job.op}", file=sys.stderr, flush=True)
        for backend in backends:
            wrong = job.difference(backend) if backend != "torch" else ""
            took = None if wrong else seconds(lambda job=job, backend=backend: job.run(backend), on_gpu=ON_GPU)
            yield row(job, shape.name, n_tokens, budget, evicted, backend, wrong, took=took, copy=copy)


def counts(shape: Shape, given: argparse.Namespace) -> Iterator[Row]:
    """A row for each op, interpreted over a short context of two KV heads, with the bytes that it moved."""
    small = Shape(shape.name, shape.n_layers, 2, 2 * shape.group, shape.dim)
    layer = Layer.random(small, COUNTED_TOKENS, getattr(torch, given.dtype), torch.device("cpu"))
    unequal = torch.tensor([[480, 32]])
    for job in (*scoring_jobs(layer), *eviction_jobs(layer, unequal)):
        print(f"{shape.name}, {COUNTED_TOKENS} tokens, counted: {job.op}", file=sys.stderr, flush=True)
        moved, wrong = counted(job)
        yield row(job, shape.name, COUNTED_TOKENS, "480 and 32 tokens", 0.5, "triton-interpret", wrong, moved=moved)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", type=Path, help="folder of measured budgets; without it only those we have")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tokens", nargs="+", type=int, default=[4096, 32768, 131072] if ON_GPU else [4096])
    parser.add_argument("--evicted", nargs="+", type=float, default=[0.5, 0.8, 0.95] if ON_GPU else [0.8])
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.budgets is not None and not given.budgets.is_dir():
        parser.error(f"--budgets {given.budgets}: no such folder")
    return given


def main() -> int:
    given, rows = parse(), list[Row]()
    copy = copy_bytes_per_s() if ON_GPU else None
    for name in given.models:
        for n_tokens in given.tokens:
            rows += timed(MODELS[name], n_tokens, given, copy)
        if not ON_GPU:
            rows += counts(MODELS[name], given)
    print_table(rows, torch.cuda.get_device_name() if ON_GPU else NO_GPU, copy)
    if given.json:
        write_json(given.json, rows, copy)
    return int(any(one.wrong for one in rows))


if __name__ == "__main__":
    sys.exit(main())
