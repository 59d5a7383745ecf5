"""What an eviction notes: on stderr once, and in lm-eval's results file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval.tasks import TaskManager

from lukv_bench.bench.lmeval_client.model import LukvLM

Answers = Mapping[str, list[Any]]
Evaluate = Callable[..., Answers]
Ours = Callable[..., LukvLM]
DOCUMENTS = 4
WINDOW = 48 * 8


def test_how_many_requests_were_evicted_whole_stands_in_the_results(
    slow: Path, evaluate: Evaluate, ours: Ours, counted: Callable[[Any], tuple[Any, ...]]
) -> None:
    model = ours(slow, allocator="uniform", ratio=0.5)
    assert counted(model) == (0, 0, {})
    evaluate(model, ("t_generate",))
    assert counted(model) == (4, 0, {})
    evaluate(model, ("t_generate", "t_untold"))
    assert counted(model) == (12, 4, {})
    aware = ours(slow, allocator="uniform", ratio=0.5, protocol="aware")
    evaluate(aware, ("t_untold",))
    assert counted(aware) == (4, 0, {}), "aware was asked for"


def test_nothing_is_evicted_whole_where_there_is_no_context(
    slow: Path,
    evaluate: Evaluate,
    capsys: pytest.CaptureFixture[str],
    ours: Ours,
    counted: Callable[[Any], tuple[Any, ...]],
) -> None:
    model = ours(slow, allocator="uniform", ratio=0.5)
    evaluate(model, ("t_choice_no_context",))
    assert counted(model) == (4 * 3, 0, {})
    assert "where their context ends" not in capsys.readouterr().err


@pytest.mark.parametrize(("task", "requests"), [("t_generate", 4), ("t_choice", 12), ("t_rolling", 4)])
def test_what_the_eviction_notes_is_told_once_and_stands_in_the_results(
    slow: Path,
    evaluate: Evaluate,
    capsys: pytest.CaptureFixture[str],
    task: str,
    requests: int,
    ours: Ours,
    counted: Callable[[Any], tuple[Any, ...]],
) -> None:
    model = ours(slow, allocator="pyramidkv", ratio=0.3, sink=0, window=0)
    evaluate(model, (task,))
    told = [line for line in capsys.readouterr().err.splitlines() if "pyramid_flattened" in line]
    assert told == [f"lukv: the event pyramid_flattened was recorded on {requests} of {requests} requests."]
    assert counted(model) == (requests, 0, {"pyramid_flattened": requests})
    generous = ours(slow, allocator="uniform", keep_tokens=5000)
    evaluate(generous, (task,))
    assert "the event kept_all was recorded on" in capsys.readouterr().err
    assert generous.get_model_info()["events"]["kept_all"] == requests


@pytest.fixture(scope="session")
def tiny_documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks whose last two documents are next to nothing."""
    folder = tmp_path_factory.mktemp("tiny_documents")
    texts = ["lamp keeper storm harbour letter ledger " * 10, "light boat north stone " * 12, "hi a b", ""]
    (folder / "data.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    common = {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(folder / "data.jsonl")}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "metric_list": [{"metric": "bypass", "aggregation": "bypass", "higher_is_better": True}],
    }
    generate = {
        "output_type": "generate_until",
        "generation_kwargs": {"max_gen_toks": 6, "do_sample": False, "until": []},
        "doc_to_text": "{{text}} Q",
        "doc_to_target": "",
    }
    rolling = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}"}
    rolling |= {"metric_list": [{"metric": "word_perplexity"}]}
    for name, own in (("tiny_generate", generate), ("tiny_rolling", rolling)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **common, **own}))
    return folder


@pytest.mark.parametrize("task", ["tiny_generate", "tiny_rolling"])
def test_a_document_too_short_for_the_budget_is_kept_whole_and_told(
    slow: Path,
    evaluate: Evaluate,
    tiny_documents: Path,
    capsys: pytest.CaptureFixture[str],
    task: str,
    ours: Ours,
    flat: Callable[[Any], list[Any]],
) -> None:
    manager = TaskManager(include_defaults=False, include_path=str(tiny_documents))

    def answered(model: LukvLM) -> list[Any]:
        rows = evaluate(model, (task,), task_manager=manager)[task]
        return [flat(row)[0] for row in rows]

    model = ours(slow, allocator="uniform", ratio=0.8, sink=2, window=2)
    evicted, err = answered(model), capsys.readouterr().err
    full = answered(ours(slow, allocator="full"))
    assert evicted[2:] == pytest.approx(full[2:]) if task == "tiny_rolling" else evicted[2:] == full[2:]
    assert evicted[:2] != full[:2]
    told = [line for line in err.splitlines() if "kept_whole" in line]
    assert len(told) == 1, err
    assert told[0].startswith("lukv: 1 of 4 requests have a context")
    assert "budget below the protected tokens" in told[0]
    info = model.get_model_info()
    assert info["events"] == {"kept_whole": 1}
    if task == "tiny_generate":
        assert info["requests_evicted_whole"] == 2
        assert "2 of 4 requests do not show where their context ends" in err
