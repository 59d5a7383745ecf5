"""Writes the tables of docs/tasks.md from the tasks' definitions; the words around them are the page's own.

python docs/tasks.py            # writes the tables
python docs/tasks.py --check    # exits 1 if they are not what the definitions say
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lukv_bench.tasks.catalog import TaskInfo, families, task_info
from lukv_bench.tasks.definitions import definition_files, read_definition

PAGE = Path(__file__).with_suffix(".md")
OPENING, ENDING = "<!-- table: {} -->", "<!-- end of table -->"
FAMILIES = (
    "ruler",
    "needle_grid",
    "requests",
    "turns",
    "longbench",
    "longbench_e",
    "longbench_v2",
    "longbench_v2_parts",
)
HEADS = (
    "task", "asks for", "metric", "question begins", "template", "new tokens", "too long", "data",
    "original", "lm-eval", "kvpress", "check",
)  # fmt: skip

SPACED = ("triviaqa", "samsum", "passage_count", "passage_retrieval_en", "lcc", "repobench-p")
"""Prompts whose white space lm-eval has changed."""
INSTRUCTED = (
    "narrativeqa", "qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "musique", "qmsum", "passage_retrieval_en",
)  # fmt: skip
"""Prompts whose instruction behind the context is a part of the context in kvpress."""

Metadata = dict[str, Any]


def row(task: str) -> list[str]:
    """A task's cells, in the order of HEADS."""
    info, metadata = task_info(task), read_definition(definition_files()[task])["metadata"]
    notes = _longbench_notes if info.family in ("longbench", "longbench_e") else _ruler_notes
    notes = _v2_notes if info.family.startswith("longbench_v2") else notes
    return [
        f"`{task}`",
        info.summary,
        f"`{info.metric}`" + (", first line" if info.first_line else ""),
        _question(metadata),
        "the model's" if info.chat else "none",
        str(info.max_new_tokens),
        {"refuse": "refused", "middle": "context cut in the middle"}[info.truncation],
        _data(task, info, metadata),
        *notes(info, task.removeprefix("longbench_e_").removeprefix("longbench_")),
        _check(task, info),
    ]


def _question(metadata: Metadata) -> str:
    if "template" in metadata:
        tail = metadata["template"].partition("{context}")[2]
        openings = [tail if len(tail) <= 40 else f"{tail[:40]}…"]
    else:
        openings = metadata["question_openers"]
    return " or ".join("`{}`".format(text.replace("\n", "\\n").replace("|", "\\|")) for text in openings)


def _data(task: str, info: TaskInfo, metadata: Metadata) -> str:
    if (published := metadata.get("published")) is None:
        return "made here; " + (
            "words, essays" if info.needs_essays else "nothing else" if _is_all_ours(task, info) else "words"
        )
    inside = f"`data/{metadata['rows']}.jsonl` in " if "rows" in metadata else ""
    place = published.get("repo") or published["url"].split("/")[2]
    pin = f"@{published['revision'][:7]}" if "revision" in published else f"sha256 {published['sha256'][:7]}…"
    return f"{inside}`{published['file']}`, {place} {pin}"


def _is_all_ours(task: str, info: TaskInfo) -> bool:
    """Whether samples take no word from elsewhere."""
    return task in ("vt", "fwe") or info.family in ("requests", "turns")


def _check(task: str, info: TaskInfo) -> str:
    where = "tests/tasks/longbench" if info.family.startswith("longbench") else "tests/tasks"
    named = task.removeprefix("longbench_e_").removeprefix("longbench_") if "v2" not in task else "v2"
    return f"`pytest {where} -k {named}`"


def _longbench_notes(info: TaskInfo, name: str) -> tuple[str, str, str]:
    original = ["O1", "O2", *(["O3"] if info.chat else []), *(["O4"] if info.first_line else [])]
    original += ["O5"] if name == "samsum" else ["O6"] if info.metric == "classification" else []
    original += ["O7"] if info.metric.startswith("rouge") else []
    stock = ["L1", "L2", "L3", *(["L4"] if info.first_line else []), *(["L5"] if name in SPACED else [])]
    stock += ["L6"] if info.metric == "code_similarity" else []
    chinese = name not in _english()
    kvpress = ["K5"] if chinese else ["K1", "K2", "K3", *(["K4"] if name in INSTRUCTED else [])]
    kvpress += ["K6"] if info.first_line and info.family == "longbench" and not chinese else []
    return ", ".join(original), ", ".join(stock), ", ".join(kvpress)


def _english() -> set[str]:
    """LongBench's English tasks, which are kvpress's."""
    return {task.removeprefix("longbench_") for task in families()["longbench_en"]}


def _v2_notes(info: TaskInfo, name: str) -> tuple[str, str, str]:
    return "O1, O2, O3, V1", "V2", "V3"


def _ruler_notes(info: TaskInfo, name: str) -> tuple[str, str, str]:
    if info.family in ("requests", "turns"):
        return "Q1" + (", Q2" if info.family == "turns" else ""), "none there", "none there"
    if info.family == "needle_grid":
        return "G1", "none there", "G2"
    original = {"vt": "R1, R2", "cwe": "R1, R3", "fwe": "R1, R3", "qa_1": "R1, R4", "qa_2": "R1, R4"}
    stock = {"cwe": "S1, S2, S3", "qa_1": "S1, S2, S4", "qa_2": "S1, S2, S4"}
    return original.get(name, "R1, R5" + (", R6" if info.needs_essays else "")), stock.get(name, "S1, S2"), "P1"


def table(family: str) -> str:
    """A family's tasks as a Markdown table."""
    rows = [HEADS, ["---"] * len(HEADS), *(row(task) for task in families()[family])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def filled(page: str, make: Callable[[str], str] = table) -> str:
    """The page with every table made anew."""
    for family in FAMILIES:
        before, opening, behind = page.partition(OPENING.format(family) + "\n")
        if not opening:
            raise SystemExit(f"{PAGE.name} has no line {OPENING.format(family)}")
        page = f"{before}{opening}\n{make(family)}\n\n{ENDING}{behind.partition(ENDING)[2]}"
    return page


def main() -> int:
    """1 if the tables were to be checked and are stale."""
    page = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return int(filled(page) != page)
    PAGE.write_text(filled(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
