"""Options that several commands take.

An axis (allocators, scorers, budgets, schedules, tasks, lengths, seeds) takes repetition and commas alike; any other
option has one value, and giving it twice is an error.
"""

from pathlib import Path
from typing import Annotated

import typer

from ..api.defaults import LENGTH, MODEL, NEW_TOKENS, REPEATS, TASKS


def whole_number(text: str | int) -> int:
    """An option's number. typer's own message would not repeat the text."""
    try:
        return int(text)
    except ValueError:
        kind = "one whole number, which the option takes" if "," in str(text) else "a whole number"
        raise typer.BadParameter(f"{text!r} is not {kind}") from None


Model = Annotated[str, typer.Option("--model", help="Alias (see `list models`), hub id or local folder.", metavar="M")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help=f"Aliases (see `list models`), hub ids or local folders, loaded in turn.  [default: {MODEL}]",
        metavar="M,M",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="cpu, cuda, cuda:1, ...; auto spreads a model over all GPUs.  [default: cuda if there is one]",
        metavar="D",
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype", help="float32, bfloat16 or float16.  [default: float32 on cpu, else bfloat16]", metavar="D"
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="Of the kernels: torch, triton or triton-interpret.  [default: triton on a GPU that has it, else torch]",
        metavar="B",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--db",
        help="SQLite file, or the URL of a SQLite or PostgreSQL database.  [default: in the user's data folder]",
        metavar="URL",
    ),
]
Ratio = Annotated[
    list[str] | None,
    typer.Option("--ratio", help="Share of the context to prune, 0 <= R < 1.  [default: 0.8]", metavar="R,R"),
]
KeepTokens = Annotated[
    list[str] | None,
    typer.Option("--keep-tokens", help="Tokens to keep per head, on average, instead of a ratio.", metavar="N,N"),
]
Schedules = Annotated[
    list[str] | None,
    typer.Option(
        "--schedule",
        help="When the context is evicted: one-shot (after all of it), or block:N (it is fed in blocks of N tokens, "
        "each layer evicted after each).  [default: one-shot]",
        metavar="S,S",
    ),
]
Sink = Annotated[
    int | None,
    typer.Option(
        "--sink", help="First tokens never evicted.  [default: the scorer's]", metavar="N", parser=whole_number
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window", help="Last tokens never evicted.  [default: the scorer's]", metavar="N", parser=whole_number
    ),
]

Allocators = Annotated[
    list[str] | None,
    typer.Option("--allocator", help="NAME[:key=value,...].  [default: lukv]", metavar="A,A"),
]
Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorer", help="NAME[:key=value,...].  [default: keydiff]", metavar="S,S"),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--tasks", help=f"Tasks or families (see `list tasks`).  [default: {TASKS}]", metavar="T,T"),
]
Length = Annotated[
    list[str] | None,
    typer.Option(
        "--length",
        help="Tokens of template, context, question and the whole room of the answer together: "
        f"`list tasks NAME` shows that room (max_new_tokens).  [default: {LENGTH}]",
        metavar="N,N",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        help='Combinations to add, as YAML or JSON: "{allocator: adakv, ratio: 0.9}".',
        metavar="{A: V}",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", help="Combinations of the grid to leave out, written as those of --include.", metavar="{A: V}"
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config", help="YAML file of these options, with lists for several values; those typed win.", metavar="FILE"
    ),
]
Limit = Annotated[int, typer.Option("--limit", help="Samples of each task.", metavar="N", parser=whole_number)]
Protocol = Annotated[
    str,
    typer.Option(
        "--protocol", help="agnostic: evict before the question is seen; aware: after.", metavar="agnostic|aware"
    ),
]
Thinking = Annotated[
    bool,
    typer.Option(
        "--thinking",
        help="Enable thinking, if the chat template has a switch for it; the thoughts are not scored.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Local files in the originals' formats, instead of the hub.", metavar="DIR"),
]
Samples = Annotated[
    Path | None, typer.Option("--samples", help="Read the samples that `tasks export` wrote there.", metavar="DIR")
]
NoTruncate = Annotated[
    bool, typer.Option("--no-truncate", help="Refuse LongBench samples that are too long, as RULER's always are.")
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length",
        help="Tokens of prompt and answer above which LongBench's contexts are cut in the middle.  "
        "[default: the model's positions]",
        metavar="N",
        parser=whole_number,
    ),
]
NoBaselines = Annotated[
    bool, typer.Option("--no-baselines", help="Do not add the full cache and the uniform allocator.")
]
Batch = Annotated[
    str,
    typer.Option(
        "--batch",
        help="Configurations of a sample that decode together; auto: as many as memory holds. "
        "1 for seconds (ttft, tpot): they are taken of one that decodes alone.",
        metavar="auto|N",
    ),
]
MaxMemory = Annotated[
    float | None,
    typer.Option(
        "--max-memory",
        help="GiB that --batch auto may fill on a device.  [default: half of what is free]  With --cost, GiB that the "
        "largest batch may take beside the model.  [default: only batch 1 is measured]",
        metavar="GIB",
    ),
]
NoDrafts = Annotated[
    bool,
    typer.Option(
        "--no-drafts", help="Decode token by token: draft nothing from other answers, the prompt or the answer so far."
    ),
]
Fidelity = Annotated[
    bool | None,
    typer.Option(
        "--fidelity/--no-fidelity",
        help="Compare each answer's next tokens with the full cache's, which then answers, too.  [default: where "
        "several configurations share a prefill]",
        show_default=False,
    ),
]

Shard = Annotated[
    str | None,
    typer.Option("--shard", help="Answer part I of N of the samples alone, for job arrays.", metavar="I/N"),
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="Answer in worker processes: local (one for each GPU) or on a Ray cluster.  [default: in this process]",
        metavar="local|ray",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", help="Workers of --executor.  [default: one for each GPU]", metavar="N", parser=whole_number
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", help="A running Ray cluster: HOST:PORT, or auto.  [default: Ray is started here]", metavar="A"
    ),
]

Cost = Annotated[
    bool,
    typer.Option(
        "--cost",
        help="Measure what each cell costs (seconds, memory, bytes) instead of answering: alone in a process of its "
        "own, on the first sample of each task. See docs/cost.md.",
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(
        "--repeats", help=f"With --cost, measured repeats.  [default: {REPEATS}]", metavar="N", parser=whole_number
    ),
]
NewTokens = Annotated[
    int | None,
    typer.Option(
        "--new-tokens",
        help=f"With --cost, tokens that each repeat decodes; nothing ends it earlier.  [default: {NEW_TOKENS}]",
        metavar="N",
        parser=whole_number,
    ),
]

Traceback = Annotated[bool, typer.Option("--traceback", help="Print the tracebacks of plugins that raised, on stderr.")]
Redo = Annotated[
    bool,
    typer.Option("--redo", help="Replace stored answers; an old answer is kept until its new one is stored."),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would be done, what is done already, time and memory; answer nothing."),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="End at the first failed answer; those given are stored.")]
KeepPrompts = Annotated[
    bool,
    typer.Option(
        "--keep-prompts",
        help="Store the prompts of the samples that are answered, and the references of own documents, for the site to "
        "show; they may be long.",
    ),
]
EvidenceLayers = Annotated[
    bool,
    typer.Option(
        "--evidence-layers", help="Store what is kept of the answer's place in the context for each layer too."
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", help="Seed of everything that is drawn at random.", metavar="N", parser=whole_number),
]
Seeds = Annotated[
    list[str] | None,
    typer.Option("--seed", help="Seeds of samples, and of methods that draw at random.  [default: 0]", metavar="N,N"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array on stdout and nothing else.")]
