"""The table of the kernels' benchmark, and the same as JSON."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from kernel_measures import Row

HEADER = ("model", "tokens", "budget", "evicted", "op", "backend", "ms", "floor MB", "moved / floor", "of copy", "")


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table; "-" is what was not measured."""
    return (
        row.model,
        f"{row.n_tokens:,}",
        row.budget,
        "-" if row.evicted is None else f"{row.evicted:.0%}",
        row.op,
        row.backend,
        "-" if row.seconds is None else f"{1000 * row.seconds:.3f}",
        f"{row.floor_bytes / 1e6:.3f}",
        "-" if row.moved_bytes is None else f"{row.moved_bytes / row.floor_bytes:.3f}",
        "-" if row.share_of_copy is None else f"{row.share_of_copy:.0%}",
        f"WRONG: {row.wrong}" if row.wrong else "",
    )


def print_table(rows: Sequence[Row], where: str, copy: float | None) -> None:
    """All rows, columns aligned, below what they were measured on."""
    print(where)
    if copy is not None:
        print(f"a copy of 1 GiB moves {copy / 1e9:,.0f} GB/s")
    lines = [HEADER, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(f"{len(rows)} rows, {sum(bool(row.wrong) for row in rows)} with a result that differs from plain torch")


def write_json(path: Path, rows: Sequence[Row], copy: float | None) -> None:
    """The rows and what they were measured on."""
    on_gpu = torch.cuda.is_available()
    environment = {
        "gpu": torch.cuda.get_device_name() if on_gpu else None,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "copy_bytes_per_s": copy,
    }
    document = {"environment": environment, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
