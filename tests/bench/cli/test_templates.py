"""Models whose chat template prints the date, lets them think, or is in the samples already, from the command line."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lukv_bench.bench.lmeval_client.model import LukvLM
from lukv_bench.bench.models import settings

TURNS = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
OPEN = TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n"
SWITCH = (
    OPEN + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
OPENED = OPEN + "<think>\n{% endif %}"
DATED = "Today is {{ strftime_now('%d %B %Y') }}.\n" + OPEN + "{% endif %}"
UPPER = OPEN.replace("m['content']", "(m['content'] | upper)") + "{% endif %}"

Copy = Callable[[str], Path]


@pytest.fixture
def model_with(copy_of: Copy) -> Callable[[str], Path]:
    """The tiny model with another chat template."""

    def model_with(template: str) -> Path:
        folder = copy_of(f"model{abs(hash(template))}")
        (folder / "chat_template.jinja").write_text(template)
        return folder

    return model_with


@pytest.fixture
def rows() -> tuple[object, ...]:
    """The options of a task without an answer prefix."""
    row = {"input": "Who lit it?", "context": "The keeper lit the lamp. " * 20, "answers": ["the keeper"], "length": 9}
    Path("data").mkdir()
    Path("data/hotpotqa.jsonl").write_text(json.dumps(row | {"_id": None, "all_classes": None}))
    return ("--tasks", "longbench_hotpotqa", "--data-dir", "data", "--limit", 1)


FULL = ("--allocator", "full", "--no-baselines", "--db", "out.db", "--json")


def stored(column: str) -> list[Any]:
    connection = sqlite3.connect("out.db")
    found = [row[0] for row in connection.execute(f"SELECT {column} ORDER BY 1")]
    connection.close()
    return found


def test_thinking_is_off_unless_it_is_asked_for_and_the_record_says_which(
    lukv_bench: Any, model_with: Callable[[str], Path], rows: tuple[object, ...]
) -> None:
    model = model_with(SWITCH)
    for more in ((), ("--thinking",)):
        ended = lukv_bench("run", "--model", model, *rows, *FULL, *more)
        assert ended.code == 0, ended.err
        assert "1 new answers" in ended.err
    assert [form.partition("thinking")[2] for form in stored("chat_form FROM configuration")] == ["-off", "-on"]


def test_a_profile_of_a_thinking_model_serves_the_run_that_lets_it_think(
    lukv_bench: Any, refused: Any, model_with: Callable[[str], Path], rows: tuple[object, ...], texts: tuple[Path, Path]
) -> None:
    model = model_with(SWITCH)
    made = lukv_bench(
        "profile", "--model", model, "--text", texts[0], "--questions", texts[1], "--out", "p", "--thinking"
    )
    assert made.code == 0, made.err
    assert "--scorer keydiff --thinking" in made.err
    command = ("run", "--model", model, *rows, "--allocator", "lukv:profile=p", "--no-baselines", "--ratio", "0.5")
    refused([*command, "--db", "off.db"], "another chat template")
    ended = lukv_bench(*command, "--db", "on.db", "--thinking")
    assert ended.code == 0, ended.err


def test_inspect_puts_a_text_as_the_run_that_it_stands_for(
    lukv_bench: Any, model_with: Callable[[str], Path], texts: tuple[Path, Path]
) -> None:
    model = model_with("{% if not enable_thinking %}Do not think.\n{% endif %}" + OPEN + "{% endif %}")
    command = ("inspect", "--model", model, "--context", texts[0], "--allocator", "uniform", "--ratio", "0.5")
    n_tokens = []
    for more in ((), ("--thinking",)):
        ended = lukv_bench(*command, "--out", f"kept{len(more)}.npz", *more)
        assert ended.code == 0, ended.err
        with np.load(f"kept{len(more)}.npz") as kept:
            n_tokens.append(len(kept["token_ids"]))
    assert n_tokens[0] > n_tokens[1]


def test_a_model_that_always_thinks_is_refused_until_it_is_let(
    lukv_bench: Any, refused: Any, model_with: Callable[[str], Path], rows: tuple[object, ...]
) -> None:
    model = model_with(OPENED)
    refused(("run", "--model", model, *rows, *FULL), "<think>", "--thinking")
    refused(("tasks", "export", "--model", model, *rows, "--out", "samples"), "<think>", "--thinking")
    ended = lukv_bench("run", "--model", model, *rows, *FULL, "--thinking")
    assert ended.code == 0, ended.err
    (events,) = map(json.loads, stored("events FROM answer"))
    assert [event["event"] for event in events] == ["thoughts_not_closed"]


def test_a_template_that_prints_the_date_prints_one_that_is_on_record(
    lukv_bench: Any, model_with: Callable[[str], Path], rows: tuple[object, ...]
) -> None:
    model = model_with(DATED)
    ended = lukv_bench("run", "--model", model, *rows, *FULL)
    assert ended.code == 0, ended.err
    assert stored("chat_form FROM configuration")[0].endswith("-date-2025-01-01")
    assert lukv_bench("tasks", "export", "--model", model, *rows, "--out", "samples").code == 0
    record = json.loads(Path("samples/longbench_hotpotqa.jsonl").read_text())
    assert record["prompt"].startswith("Today is 01 January 2025.\n")
    assert record["more"]["id"] == "", "a row whose _id is null has none"


def test_lm_evals_client_takes_thinking_by_lm_evals_names(model_with: Callable[[str], Path]) -> None:
    model = str(model_with(SWITCH))
    turns = [{"role": "user", "content": "Why?"}]
    off, on = (LukvLM(pretrained=model, allocator="full", enable_thinking=told) for told in (False, "True"))
    assert off.get_model_info()["chat_template_settings"] == ["thinking-off"]
    assert on.get_model_info()["chat_template_settings"] == ["thinking-on"]
    assert off.apply_chat_template(turns).endswith("</think>\n\n")
    assert on.apply_chat_template(turns).endswith("assistant\n")
    named = LukvLM(pretrained=model, allocator="full", enable_thinking=True, think_end_token="<|end|>")
    assert named.thinking.end == "<|end|>"


@pytest.mark.parametrize("head", ["<|im_start|>user\n", "[INST] ", "<|start_header_id|>user<|end_header_id|>\n\n"])
def test_samples_of_ruler_that_hold_a_template_are_not_put_into_another(
    refused: Any, lukv_bench: Any, model_with: Callable[[str], Path], tiny: Path, head: str
) -> None:
    question = "\nWhat is the special magic number for a-b mentioned in the provided text?"
    text = f"{head}A special magic number is hidden. One of the special magic numbers for a-b is: 12.{question}"
    Path("data").mkdir()
    row = {"index": 0, "input": text, "outputs": ["12"], "length": 360}
    Path("data/niah_single_1_360.jsonl").write_text(json.dumps(row))
    command = ("run", "--tasks", "niah_single_1", "--length", 360, "--limit", 1, "--data-dir", "data", *FULL)
    refused((*command, "--model", tiny), "niah_single_1", head.split(">")[0].strip(), "base")
    assert lukv_bench(*command, "--model", model_with("")).code == 0, "without a template of its own, it is as meant"


def test_what_a_run_could_not_cut_is_not_exported(
    refused: Any, model_with: Callable[[str], Path], rows: tuple[object, ...]
) -> None:
    model = model_with(UPPER)
    words = ("sample 0 of longbench_hotpotqa", "does not hold its context")
    refused(("run", "--model", model, *rows, *FULL), *words)
    refused(("tasks", "export", "--model", model, *rows, "--out", "samples"), *words)


def test_python_without_docstrings_is_told_so_and_no_model_is_blamed(
    refused: Any, tiny: Path, rows: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "sys", SimpleNamespace(flags=SimpleNamespace(optimize=2)))
    refused(("run", "--model", tiny, *rows, *FULL), "PYTHONOPTIMIZE")


def test_a_cache_that_cannot_be_written_names_its_variable(
    refused: Any, roomy: Path, rows: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUKV_BENCH_CACHE", "/proc/lukv")
    refused(("run", "--model", roomy, *rows, "--allocator", "lukv", "--db", "out.db"), "LUKV_BENCH_CACHE")
