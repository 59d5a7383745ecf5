"""Which decoders of transformers run here? Each is built tiny; it runs as `generate` does, or one sentence refuses it.

    python tests/benchmarks/architectures.py [TYPE ...] [--rows FILE] [--out docs/architectures.md]

A type that runs gives the tokens of `generate` under the full cache, up to ties, and under eviction the logits of a
float64 mask over the whole sequence, which is longer than any sliding window. Anything else than that or one sentence
makes the exit code 1. With --rows what was found is kept in a file, and the page has the rows of earlier calls, too.
"""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tiny_architectures as tiny
import torch
import transformers
from full_vs_oracle import evicted_error, first_difference, score_all

from lukv_bench import UserError
from lukv_bench.bench.engine.ready import ready_model, refuse_sliding_window

CPU_SECONDS, GIGABYTES = 60, 12
KNOWN = {
    "Llama": "llama", "Mistral v0.1": "mistral", "Mixtral": "mixtral", "Qwen2": "qwen2",
    "Qwen2 with windows": "qwen2 with windows", "Qwen3": "qwen3", "Qwen3-MoE": "qwen3_moe", "Qwen3-Next": "qwen3_next",
    "Gemma": "gemma", "Gemma 2": "gemma2", "Gemma 3": "gemma3_text", "Gemma 3n": "gemma3n_text",
    "Gemma 4": "gemma4_text", "Gemma 4 with borrowed layers": "gemma4_text with borrowed layers", "gpt-oss": "gpt_oss",
    "Cohere 2": "cohere2", "OLMo 2": "olmo2", "OLMo 3": "olmo3", "Phi-3": "phi3", "GLM-4": "glm4",
    "SmolLM3": "smollm3", "EXAONE 4": "exaone4", "Llama 4": "llama4_text", "Falcon": "falcon", "GPT-NeoX": "gpt_neox",
    "StarCoder2": "starcoder2", "Granite 4": "granitemoehybrid", "Falcon-H1": "falcon_h1", "Qwen3.5": "qwen3_5_text",
    "Qwen3.5-MoE": "qwen3_5_moe_text", "Jamba": "jamba", "Nemotron-H": "nemotron_h", "LFM2": "lfm2",
    "OLMo Hybrid": "olmo_hybrid", "DeepSeek V3": "deepseek_v3", "Kimi Linear": "kimi_linear", "MiniMax": "minimax",
    "Mamba": "mamba",
}  # fmt: skip
"""By the name that people know: the type."""


@dataclass
class Row:
    """What became of one type: at most one of the two reasons, or neither."""

    model_type: str
    layers: str = ""
    evicted: str = ""
    unbuilt: str | None = None
    refused: str | None = None
    wrong: str | None = None
    reach: int | None = None
    scorers: dict[str, str] = field(default_factory=dict)


def examine(model_type: str) -> Row:
    """Build, load, run and compare one type."""
    row = Row(model_type)
    with tempfile.TemporaryDirectory() as folder:
        try:
            tiny.save_tiny(model_type, Path(folder))
        except BaseException as error:
            return _with(row, unbuilt=_short(error))
        try:
            loaded = ready_model(folder, torch.device("cpu"), "float32")
        except UserError as error:
            return _with(row, refused=str(error).replace(folder, "FOLDER"))
        except BaseException as error:
            return _with(row, wrong=f"loading: {_short(error)}")
        shape = loaded.shape
        row.layers = f"{shape.n_layers} x {shape.n_query_heads}/{shape.n_kv_heads} x {shape.head_dim}"
        row.evicted = f"{shape.n_layers} of {len(shape.layers)}" if shape.kept_whole else "all"
        row.reach = loaded.reach if loaded.reach < shape.max_positions else None
        n = tiny.prompt_length(loaded.reach)
        try:
            refuse_sliding_window(loaded, n + tiny.ANSWER)
            plain = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
            row.wrong = first_difference(loaded, plain, n) or evicted_error(loaded, plain, n)
            row.scorers = score_all(loaded, n)
        except BaseException as error:
            row.wrong = f"running: {_short(error)}"
    return row


def _with(row: Row, **changes: str) -> Row:
    for name, value in changes.items():
        setattr(row, name, value)
    return row


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def in_child(model_type: str) -> Row:
    """Examine a type in a process of its own, so that nothing stays and a crash is a row."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, GIGABYTES << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        signal.alarm(10 * CPU_SECONDS)  # for one that waits
        os.write(writer, json.dumps(asdict(examine(model_type))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return Row(**json.loads(text)) if text else Row(model_type, wrong=f"the process ended ({status})")


def table(rows: Sequence[Row]) -> str:
    """The page."""
    ran = [row for row in rows if not (row.unbuilt or row.refused or row.wrong)]
    refused, unbuilt = [row for row in rows if row.refused], [row for row in rows if row.unbuilt]
    n_more = sum(row.model_type in tiny.VARIANTS for row in rows)
    parts = [
        "# Architectures",
        f"transformers {transformers.__version__} builds {len(rows) - n_more} decoders with `AutoModelForCausalLM`. "
        f"With {n_more} more whose settings are not their type's own, {len(ran)} run here, {len(refused)} are refused "
        f"when they are loaded and {len(unbuilt)} could not be built tiny with random weights. "
        f"Written by `python tests/benchmarks/architectures.py` (torch {torch.__version__.partition('+')[0]}).",
        "## By name",
        _by_name({row.model_type: row for row in rows}),
        "## Run",
        "Under the full cache each gives the tokens of `generate`, up to ties, and under eviction the logits of a "
        f"float64 mask over the whole sequence; sliding windows and chunks are made {tiny.WINDOW} tokens, and the "
        f"prompt has {tiny.PROMPT}. Evicted: the layers that are, by default of the type, where others keep a sliding "
        "window, borrow the keys and values of an earlier layer, have a recurrent state in place of attention, or "
        "nothing. Longest: the longest sequence served where every layer slides or some attend in chunks; longer ones "
        "are refused, and the prompt is shorter. "
        "Scorers: those that it cannot serve, of all installed; the others score it.",
        _rows(
            ["type", "evicted layers x HQ/H x D", "evicted", "longest", "scorers refused"],
            [
                [
                    row.model_type,
                    row.layers,
                    row.evicted,
                    str(row.reach or ""),
                    ", ".join(n for n, said in row.scorers.items() if said),
                ]
                for row in ran
            ],
        ),
        "### What a refused scorer is told",
        _rows(
            ["sentence", "scorers", "types"],
            [[said, ", ".join(names), ", ".join(types)] for said, (names, types) in _sentences(ran).items()],
        ),
        "## Refused",
        _rows(["type", "the sentence"], [[row.model_type, row.refused or ""] for row in refused]),
        "## Not built",
        _rows(["type", "why"], [[row.model_type, row.unbuilt or ""] for row in unbuilt]),
    ]
    return "\n\n".join(parts) + "\n"


def _by_name(rows: Mapping[str, Row]) -> str:
    """What becomes of the models that people know."""

    def said(row: Row) -> str:
        within = f", sequences within the {row.reach} tokens of its window or chunk alone" if row.reach else ""
        return row.refused or row.unbuilt or row.wrong or f"runs{within}"

    known = {name: rows[kind] for name, kind in KNOWN.items() if kind in rows}
    return _rows(
        ["model", "type", "evicted layers", ""],
        [[name, row.model_type, row.evicted, said(row)] for name, row in known.items()],
    )


def _sentences(rows: Sequence[Row]) -> dict[str, tuple[list[str], list[str]]]:
    """By sentence the scorers and the types that it was told to."""
    told: dict[str, tuple[list[str], list[str]]] = {}
    for row in rows:
        for name, said in row.scorers.items():
            if said:
                names, types = told.setdefault(said.replace(row.model_type, "TYPE"), ([], []))
                names += [name] * (name not in names)
                types += [row.model_type] * (row.model_type not in types)
    return told


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *cells])


def main() -> int:
    """Examine every type, or those named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("types", nargs="*", default=None)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--out", type=Path)
    asked: Any = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    examine("llama")  # what it imports, every child has
    found = json.loads(asked.rows.read_text()) if asked.rows and asked.rows.is_file() else {}
    for model_type in asked.types or [*tiny.model_types(), *tiny.VARIANTS]:
        row = in_child(model_type)
        found[model_type] = asdict(row)
        said = row.wrong and f"WRONG {row.wrong}"
        print(model_type, "|", said or row.refused or row.unbuilt or "runs", flush=True)
        if asked.rows:
            asked.rows.write_text(json.dumps(found))
    rows = [Row(**found[model_type]) for model_type in sorted(found)]
    if asked.out:
        asked.out.write_text(table(rows), encoding="utf-8")
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
