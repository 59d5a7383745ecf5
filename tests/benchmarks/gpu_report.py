"""The report of the GPU check, as JSON and as Markdown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from gpu_parts import PartResult

TITLES = {"kernels": "Correctness", "timings": "Timings", "cells": "From end to end"}
ABOUT = {
    "kernels": "Every op in every shipped type and head dim, compiled, against plain torch (attention: float64).",
    "timings": (
        "Medians. Of copy: the bytes that an op must move over its seconds, beside a copy of 1 GiB. The smaller length "
        "may be in the card's cache, and a launch may take longer than its work."
    ),
    "cells": (
        "Medians of the repeats, each cell after its gate. Weights are random: seconds and bytes mean something, the "
        "answers nothing."
    ),
}
OPS = ("tokens", "budget", "op", "backend", "ms", "floor MB", "of copy", "result")
SECONDS = ("prefill_s", "score_s", "allocate_s", "select_s", "compact_s", "first_token_s")
CELLS = (
    "cell",
    *SECONDS,
    "ms/token",
    "tokens/s",
    "peak GB",
    "KV GB full",
    "kept",
    "allocated",
    "gate error",
    "allowed",
)


def versions() -> dict[str, str]:
    """Of the packages that compute."""
    found = {}
    for name in ("torch", "triton", "transformers", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def document(environment: Mapping[str, Any], command: str, parts: Sequence[PartResult]) -> dict[str, Any]:
    """The whole report."""
    each = [asdict(part) | {"is_right": part.is_right, "not_reached": part.not_reached} for part in parts]
    return {"environment": dict(environment), "command": command, "parts": each, "is_right": all_right(parts)}


def all_right(parts: Sequence[PartResult]) -> bool:
    """Whether everything was checked, and nothing is wrong."""
    return all(part.is_right for part in parts)


def write(report: Mapping[str, Any], folder: Path, name: str) -> list[Path]:
    """Both files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.json", folder / f"{name}.md"]
    files[0].write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    files[1].write_text(markdown(report), encoding="utf-8")
    return files


def markdown(report: Mapping[str, Any]) -> str:
    """The report for a reader."""
    environment = report["environment"]
    lines = [f"# GPU check: {environment['title']}", "", f"    {report['command']}", ""]
    lines += [f"- {name}: {value}" for name, value in environment.items() if name != "title"]
    lines += ["", "**Everything is right.**" if report["is_right"] else "**Something is wrong, or was not reached.**"]
    for part in report["parts"]:
        lines += ["", f"## {TITLES[part['name']]}", "", ABOUT[part["name"]], "", *_verdict(part), *_table(part)]
    return "\n".join(lines) + "\n"


def _verdict(part: Mapping[str, Any]) -> Iterator[str]:
    wrong = {name: reason for name, reason in part["wrong"].items() if reason}
    right = len(part["wrong"]) - len(wrong)
    took = f"{part['took_s']:.0f} of {part['asked_s']:.0f} s"
    yield f"{right} of {len(part['todo'])} checks are right, {len(wrong)} wrong ({took})."
    if part["broken"]:
        yield f"\n- **broken**: {part['broken']}"
    elif not part["todo"]:
        yield "\n- **not begun** within its time"
    yield from (f"\n- **WRONG** {name}: {reason}" for name, reason in wrong.items())
    if part["not_reached"]:
        yield f"\n- **not reached**: {', '.join(part['not_reached'])}"


def _table(part: Mapping[str, Any]) -> Iterator[str]:
    if part["name"] == "kernels":
        return
    made = (_cell(name, data) for name, data in part["data"].items() if "repeats" in data)
    rows = list(_ops(part["data"]) if part["name"] == "timings" else made)
    header = OPS if part["name"] == "timings" else CELLS
    if rows:
        yield from ("", _line(header), _line(["---"] * len(header)), *map(_line, rows))
    for data in part["data"].values():
        if data.get("copy_bytes_per_s"):
            yield f"\nA copy of 1 GiB moves {data['copy_bytes_per_s'] / 1e9:,.0f} GB/s."
            return


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ops(data: Mapping[str, Any]) -> Iterator[list[str]]:
    for row in (row for check in data.values() for row in check.get("rows", ())):
        ms, share = row["seconds"], row["share_of_copy"]
        yield [
            f"{row['n_tokens']:,}",
            row["budget"],
            row["op"],
            row["backend"],
            "-" if ms is None else f"{1000 * ms:.3f}",
            f"{row['floor_bytes'] / 1e6:.3f}",
            "-" if share is None else f"{share:.0%}",
            "WRONG" if row["wrong"] else "right",
        ]


def _cell(name: str, data: Mapping[str, Any]) -> list[str]:
    repeats, sizes = data["repeats"], data["sizes"]
    token_s = median(sum(repeat["token_s"]) / len(repeat["token_s"]) for repeat in repeats)
    peaks = [repeat["peak_bytes"] for repeat in repeats if repeat["peak_bytes"] is not None]
    return [
        name,
        *(f"{median(repeat[key] or 0.0 for repeat in repeats):.4f}" for key in SECONDS),
        f"{1000 * token_s:.2f}",
        f"{1 / token_s:.1f}",
        f"{max(peaks) / 1e9:.2f}" if peaks else "-",
        *(f"{sizes[key] / 1e9:.4f}" for key in ("kv_bytes_full", "kv_bytes_kept", "kv_bytes_allocated")),
        f"{data['gate']['error']:.2g}",
        f"{data['gate']['tolerance']:g}",
    ]
