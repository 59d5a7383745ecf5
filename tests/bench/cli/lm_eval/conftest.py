"""Tasks as a stranger writes them, answered by a model of lm-eval's kind."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from lukv_bench.bench.lmeval_client.model import LukvLM

WORDS = ["lamp", "keeper", "light", "storm", "boat", "harbour", "north", "stone", "letter", "ledger"]
DOCUMENTS = 4
Answers = Mapping[str, list[Any]]
Evaluate = Callable[..., Answers]


@pytest.fixture(scope="session")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks as a stranger writes them: with a context, without one, multiple choice, perplexity."""
    folder, draw = tmp_path_factory.mktemp("tasks"), random.Random(0)

    def text(words: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(words))

    documents = [
        {"context": text(60), "question": f"Where is the {WORDS[n]}?", "choices": ["lamp", "the keeper", "north by"]}
        for n in range(DOCUMENTS)
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, documents)))
    common = {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(folder / "data.jsonl")}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "doc_to_text": "Read this. {{context}}\n{{question}}",
        "doc_to_target": 1,
        "output_type": "generate_until",
        "generation_kwargs": {"max_gen_toks": 12, "do_sample": False, "until": []},
        "metric_list": [{"metric": "bypass", "aggregation": "bypass", "higher_is_better": True}],
    }
    choice = {"output_type": "multiple_choice", "doc_to_choice": "choices", "metric_list": [{"metric": "acc"}]}
    own: dict[str, dict[str, Any]] = {
        "t_generate": {},
        "t_prefix": {"gen_prefix": "It is"},
        "t_stop": {"generation_kwargs": {"max_gen_toks": 40, "until": ["o", "zq"], "temperature": 0.0}},
        "t_untold": {"doc_to_text": "{{context | upper}}\n{{question}}"},
        "t_choice": choice,
        "t_choice_spaces": choice | {"doc_to_text": "{{context}}\n{{question}}  ", "target_delimiter": ""},
        "t_choice_no_context": choice | {"doc_to_text": ""},
        "t_rolling": {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{context}}",
            "metric_list": [{"metric": "word_perplexity"}],
        },
    }
    for name, changes in own.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **common, **changes}))
    return folder


@pytest.fixture(scope="session")
def evaluate(tasks: Path) -> Evaluate:
    """The named tasks' raw answers, document by document, from a model of lm-eval's kind."""

    def run(model: Any, names: tuple[str, ...], **more: Any) -> Answers:
        asked = {"task_manager": TaskManager(include_defaults=False, include_path=str(tasks)), "bootstrap_iters": 1}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lm_eval.evaluator.add_env_info", lambda _: None)  # it asks pip for all that is installed
            found = simple_evaluate(model=model, tasks=list(names), **asked | more)
        return {name: [row["resps"] for row in rows] for name, rows in found["samples"].items()}

    return run


@pytest.fixture(scope="session")
def theirs(slow: Path) -> HFLM:
    """lm-eval's own model class."""
    return HFLM(pretrained=str(slow), device="cpu", dtype="float32", max_length=48 * 8)


@pytest.fixture(scope="session")
def ours() -> Callable[..., LukvLM]:
    """A folder's model with the arguments that --model_args gives."""
    return lambda folder, **arguments: LukvLM(
        **{"pretrained": str(folder), "device": "cpu", "dtype": "float32"} | arguments
    )


class Recording(LukvLM):
    """Writes down what is read before the eviction."""

    def _answers(self, doing: str, feeds: Any, answer: Any) -> list[Any]:
        self.feeds = feeds
        return super()._answers(doing, feeds, answer)


@pytest.fixture(scope="session")
def recording() -> type[Recording]:
    """A model whose `feeds` are what its last requests came to: context and rest of each."""
    return Recording


def leaves(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, list | tuple) else [value]


@pytest.fixture(scope="session")
def flat() -> Callable[[Any], list[Any]]:
    """What nested lists and tuples hold."""
    return leaves


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Answers, Answers], None]:
    """Texts are equal, and likelihoods up to rounding."""

    def compare(one: Answers, other: Answers) -> None:
        assert one.keys() == other.keys()
        for name in one:
            assert len(one[name]) == len(other[name]) == DOCUMENTS
            for mine, their in zip(leaves(one[name]), leaves(other[name]), strict=True):
                if isinstance(mine, float):
                    assert mine == pytest.approx(their, abs=1e-4), name
                else:
                    assert mine == their, name

    return compare


@pytest.fixture(scope="session")
def counted() -> Callable[[LukvLM], tuple[Any, ...]]:
    """What lm-eval writes into its results file: requests, those evicted whole, events."""

    def counted(model: LukvLM) -> tuple[Any, ...]:
        info = model.get_model_info()
        assert info["protocol"] == model.arguments.protocol
        return tuple(info[name] for name in ("requests", "requests_evicted_whole", "events"))

    return counted
