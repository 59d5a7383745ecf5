"""Wording and knobs against lm-eval's copy of RULER (read, not imported: that takes a minute and nltk's
data), and whole prompts against RULER's own output."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import lm_eval
import pytest

from lukv_bench.tasks.catalog import expand
from lukv_bench.tasks.definitions import definition_files, read_definition
from lukv_bench.tasks.ruler.haystacks import Lines, Needle
from lukv_bench.tasks.ruler.wording import NOISE, needle_sentence, wording

STOCK = Path(lm_eval.__file__).parent / "tasks" / "ruler"
ROWS = "ruler/niah_multikey_3_4096.jsonl"


RULER = expand(["ruler"])
NIAH = [name for name in RULER if name.startswith("niah_")]
STOCK_NAMES = {"qa_1": "qa_squad", "qa_2": "qa_hotpot"}


def parsed(name: str) -> ast.Module:
    return ast.parse((STOCK / name).read_text())


def constant(module: ast.Module, name: str) -> str:
    values = [
        ast.literal_eval(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
        if isinstance(node.value, ast.Constant)
    ]
    return str(values[0])


def stock_knobs(name: str) -> dict[str, Any]:
    (function,) = [
        node for node in ast.walk(parsed("niah_utils.py")) if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    (call,) = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "generate_samples"
    ]
    return {k.arg: k.value.value for k in call.keywords if k.arg and isinstance(k.value, ast.Constant)}


@pytest.mark.parametrize("name", NIAH)
def test_knobs_are_rulers(name: str) -> None:
    stock, ours = stock_knobs(name), read_definition(definition_files()[name])["dataset_kwargs"]
    assert ours["haystack"] == {"repeat": "noise"}.get(stock["type_haystack"], stock["type_haystack"])
    assert (ours["keys"], ours["values"]) == (stock["type_needle_k"], stock["type_needle_v"])
    queries = stock.get("num_needle_q", 1)
    assert ours.get("num_queries", 1) == queries
    assert ours.get("num_keys", 1) == max(stock.get("num_needle_k", 1), queries)
    assert ours.get("num_values", 1) == stock.get("num_needle_v", 1)


@pytest.mark.parametrize("kind", ["numbers", "uuids"])
@pytest.mark.parametrize("keys", [["one-key"], ["a-b", "c-d", "e-f", "g-h"]])
@pytest.mark.parametrize("per_key", [1, 4])
def test_wording_is_rulers(kind: str, keys: list[str], per_key: int) -> None:
    template, query = constant(parsed("niah_utils.py"), "TEMPLATE"), keys[0]
    if len(keys) > 1:
        query = ", ".join(keys[:-1]) + ", and " + keys[-1]
    named = kind
    if len(keys) * per_key == 1:
        for plural, singular in (("Some", "A"), ("are all", "is"), ("are", "is"), ("answers", "answer")):
            template = template.replace(plural, singular)
        named = kind[:-1]
    ours = wording(kind, keys, len(keys) * per_key)
    assert f"{ours.instruction}\n<h>\n{ours.question}" == template.format(
        type_needle_v=named, context="<h>", query=query
    )
    verb = "is" if named != kind else "are"
    assert ours.answer_prefix == f"The special magic {named} for {query} mentioned in the provided text {verb}"


def test_needle_and_noise_are_rulers() -> None:
    module = parsed("prepare_niah.py")
    stock = constant(module, "NEEDLE").format(type_needle_v="numbers", key="a-b", value="1234567")
    assert needle_sentence("numbers", "a-b", "1234567") == stock
    assert NOISE in {node.value for node in ast.walk(module) if isinstance(node, ast.Constant)}


def test_generation_is_rulers() -> None:
    from lm_eval.tasks._yaml_loader import load_yaml

    assert len(RULER) == 13
    for name in RULER:
        ours = read_definition(definition_files()[name])
        stock = load_yaml(STOCK / f"{STOCK_NAMES.get(name, name)}.yaml", resolve_func=False)
        for key in ("generation_kwargs", "output_type"):
            assert ours[key] == stock[key]
        part = str(stock["process_results"]).endswith("_part")
        assert ours["metadata"]["metric"].endswith("_part" if part else "_all")


def test_rulers_own_prompts_come_out_to_the_letter(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / ROWS).read_text().splitlines()]
    assert len(rows) == 40
    for row in rows:
        lines = row["input"].split("\n")[1:-1]
        (place,) = [i for i, line in enumerate(lines) if row["outputs"][0] in line]
        key = re.search(r"for (\S+) mentioned", row["input"])
        assert key is not None
        hidden = Needle(needle_sentence("uuids", key[1], row["outputs"][0]), (place + 0.5) / (len(lines) - 1))
        others = lines[:place] + lines[place + 1 :]
        text = Lines(others.__getitem__).text(len(others), [hidden])
        said = wording("uuids", [key[1]], 1)
        ours = f"{said.instruction}\n{text}\n{said.question} {said.answer_prefix}"
        assert ours == row["input"]
        assert all(re.fullmatch(r"One of the special magic uuids for \S{36} is: \S{36}\.", line) for line in lines)
