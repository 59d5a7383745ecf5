"""The commands that answer cells anew."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, Text, cast, func, select

from ..database import Database
from ..labels import ONE_SHOT, allocator_label, schedule_label, scorer_label
from ..portions import portions
from ..readable import parsed
from ..results import read_results
from ..schema import Answer, Run

Words = list[str]

_SWITCHES = {
    *("--thinking", "--no-truncate", "--no-baselines", "--redo", "--keep-prompts", "--traceback", "--json"),
    *("--fail-fast", "--dry-run"),
}
"""Options of `run` that take no value."""

_OF_A_CELL = {
    *("--allocator", "--scorer", "--ratio", "--keep-tokens", "--tasks", "--length", "--limit", "--seed", "--model"),
    *("--include", "--exclude", "--schedule"),
}
_OF_AN_OCCASION = {"--redo", "--keep-prompts", "--traceback", "--json", "--db", "--no-baselines", "--fail-fast"}


def read_commands(db: Database, cells: Sequence[str]) -> dict[str, str]:
    """By cell what to type in a shell to answer it anew; cells of which no answer says which run gave it have none.

    It is the command of the run that gave the cell's newest answer, with what that one named several of (allocators,
    tasks, ...) narrowed down to this cell. Folders and model paths are cut down to their last names, as the record
    keeps them. A command of another form than `lukv-bench run` stands as it was typed.
    """
    once = list(dict.fromkeys(cells))
    with db.reading() as connection:
        newest = {
            str(cell): str(run) for some in portions(once) for cell, run in connection.execute(_newest_runs(some))
        }
        stored = select(Run.id, cast(Run.command, Text)).where(Run.id.in_(set(newest.values())))
        commands = {str(run): parsed(command) for run, command in connection.execute(stored)}
    return {
        str(row["cell"]): shlex.join(_of_cell(words, row) if _is_run(words) else words)
        for row in read_results(db, once)
        if (words := _words(commands.get(newest.get(str(row["cell"]), ""))))
    }


def _newest_runs(cells: Sequence[str]) -> Select[Any]:
    """Of each cell the run of its newest answer."""
    latest = func.row_number().over(partition_by=Answer.cell_id, order_by=(Answer.created_at.desc(), Answer.id.desc()))
    numbered = select(Answer.cell_id, Answer.run_id, latest.label("place")).where(Answer.cell_id.in_(cells)).subquery()
    return select(numbered.c.cell_id, numbered.c.run_id).where(numbered.c.place == 1)


def _words(command: Any) -> Words:
    """The words of a stored command; none where another program stored something else."""
    return [str(word) for word in command] if isinstance(command, list) else []


def _is_run(words: Sequence[str]) -> bool:
    return words[0] == "lukv_bench.run" or list(words[1:2]) == ["run"]


def _of_cell(words: Sequence[str], row: Mapping[str, Any]) -> Words:
    """The command narrowed down to one cell."""
    options = list(_options(words[1:] if words[0] == "lukv_bench.run" else words[2:]))
    kept = [word for name, typed, _ in options if name not in _OF_A_CELL | _OF_AN_OCCASION for word in typed]
    typed = {name: list(_values(options, name)) for name in ("--allocator", "--scorer", "--model")}
    method = ["--allocator", _spec(row["allocator"], allocator_label(row), typed["--allocator"])]
    if row["scorer"] is not None:
        method += ["--scorer", _spec(row["scorer"], scorer_label(row), typed["--scorer"])]
    return ["lukv-bench", "run", *_model(row, typed["--model"]), *kept, *method, *_place(row), "--no-baselines"]


def _values(options: Sequence[tuple[str, Words, str]], name: str) -> Iterator[str]:
    """The values of an option, those among the combinations of --include, too: a run writes them as JSON."""
    for option, _, value in options:
        if option == name:
            yield value
        elif option == "--include" and isinstance(entry := parsed(value), Mapping):
            values = entry.get(name.removeprefix("--"), [])
            yield from map(str, values if isinstance(values, list) else [values])


def _model(row: Mapping[str, Any], typed: Sequence[str]) -> Words:
    """The model of the cell among those that were typed; the default one is not typed."""
    names = [name for value in typed for name in (value, *value.split(","))]
    return ["--model", row["model"]] if row["model"] in names else ["--model", typed[0]] if typed else []


def _place(row: Mapping[str, Any]) -> Words:
    """Budget, schedule, task, length, number of samples and seed."""
    words = []
    if row["keep_tokens"] is not None:
        words += ["--keep-tokens", str(row["keep_tokens"])]
    elif row["ratio"]:
        words += ["--ratio", f"{row['ratio']:.12g}"]
    if (schedule := schedule_label(row)) != ONE_SHOT:
        words += ["--schedule", schedule]
    words += ["--tasks", row["task"]]
    if row["length"] is not None:
        words += ["--length", str(row["length"])]
    return [*words, "--limit", str(row["samples_asked"]), "--seed", str(row["seed"])]


def _options(words: Sequence[str]) -> Iterator[tuple[str, Words, str]]:
    """(name, the words typed, value) of each option."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if equals or word in _SWITCHES or not word.startswith("--") or not rest:
            yield name, [word], value
        else:
            value = rest.pop(0)
            yield name, [word, value], value


def _spec(name: str, label: str, typed: Sequence[str]) -> str:
    """A plugin as it was typed, where only one of its name was: a profile's path is in no label."""
    specs = [spec for value in typed for spec in re.split(r",(?=[\w.-]+(?::|,|$))", value)]
    same = [spec for spec in specs if spec.partition(":")[0] == name]
    return same[0] if len(set(same)) == 1 else label
