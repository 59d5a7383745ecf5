"""lm-eval's own command line with our model class."""

import json
import re
import shlex
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lm_eval._cli import HarnessCLI

from lukv_bench import UserError
from lukv_bench.bench.lmeval_client.command import complete
from lukv_bench.bench.lmeval_client.model import LukvLM

Answers = Mapping[str, list[Any]]
Evaluate = Callable[..., Answers]
Ours = Callable[..., LukvLM]
DOCUMENTS = 4
WINDOW = 48 * 8


def test_the_command_passes_on_what_lm_eval_knows(
    lukv_bench: Any, slow: Path, tasks: Path, home: Path, own_tasks_alone: None
) -> None:
    ended = lukv_bench(
        "lm-eval", "run", "--model", "lukv", "--model_args",
        f"pretrained={slow},allocator=uniform,scorer=keydiff,ratio=0.5",
        "--tasks", f"{tasks / 't_generate.yaml'},{tasks / 't_choice.yaml'}",
        "--limit", 2, "--batch_size", 4, "--log_samples", "--output_path", home / "out",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "|t_choice" in ended.out
    (results,) = (home / "out").rglob("results_*.json")
    found = json.loads(results.read_text())
    assert found["n-samples"]["t_generate"] == {"original": DOCUMENTS, "effective": 2}
    said = found["config"]
    assert (said["allocator"], said["scorer"], said["ratio"], said["protocol"]) == (
        "uniform",
        "keydiff",
        "0.5",
        "agnostic",
    )
    assert len(list((home / "out").rglob("samples_*.jsonl"))) == 2


def test_lm_evals_response_cache_is_refused_however_it_is_asked_for(
    lukv_bench: Any, slow: Path, tasks: Path, evaluate: Evaluate, home: Path, ours: Ours
) -> None:
    """It is keyed by the request alone: the first allocator's answers would be every other's."""
    (home / "c.yaml").write_text(yaml.safe_dump({"use_cache": str(home / "answers"), "device": "cpu"}))
    arguments = f"pretrained={slow},allocator=full"
    ours_ = ("--model", "lukv", "--model_args", arguments, "--tasks", str(tasks / "t_generate.yaml"))
    for asked in (("--use_cache", home / "answers"), (f"--use_cache={home / 'answers'}",), ("-c", home / "answers")):
        ended = lukv_bench("lm-eval", "run", *ours_, *asked)
        assert ended.code == 2, ended.err
        assert "--use_cache" in ended.err.splitlines()[-1]
        assert "loading" not in ended.err, "it is said before the model is loaded"
    ended = lukv_bench("lm-eval", "run", "--config", home / "c.yaml", *ours_)
    assert ended.code == 2, ended.err
    assert "--use_cache" in ended.err.splitlines()[-1]
    with pytest.raises(UserError, match="--use_cache"):
        evaluate(ours(slow, allocator="full"), ("t_generate",), use_cache=str(home / "answers"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model_args", "pretrained={model},allocator=unifrom", "--tasks", "{}"), ("did you mean 'uniform'",)),
        (("--tasks", "no_such_task_at_all"), ("no_such_task_at_all",)),
        (("--model", "luvk", "--tasks", "{}"), ("luvk",)),
        ((), ("task",)),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_2(
    lukv_bench: Any, slow: Path, tasks: Path, own_tasks_alone: None, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    filled = [a.replace("{}", str(tasks / "t_generate.yaml")).replace("{model}", str(slow)) for a in arguments]
    ended = lukv_bench("lm-eval", "run", "--model", "lukv", *filled)
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err.splitlines()[-1]


def completed(*words: str) -> Namespace:
    """A command as lm-eval parses it, completed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["lm-eval", *words])
        given = HarnessCLI().parse_args()
    complete(given)
    return given


def test_lm_eval_is_told_the_model_its_tokenizer_and_a_device(home: Path, real_model: Path, slow: Path) -> None:
    folder = str(home / "cache" / "models" / real_model.name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for named in ("", "pretrained=smollm2-135m,"):
        given = completed("run", "--model", "lukv", "--model_args", f"{named}ratio=0.5", "--tasks", "t")
        assert (given.model_args["pretrained"], given.metadata, given.device) == (
            "smollm2-135m",
            {"tokenizer": folder},
            device,
        )
    own = ("--device", "cpu", "--metadata", "tokenizer=other")
    given = completed("--model", "lukv", "--model_args", f"pretrained={slow}", "--tasks", "t", *own)
    assert (given.metadata, given.device) == ({"tokenizer": "other"}, "cpu"), "what the user says wins"


@pytest.mark.parametrize("words", [["run", "--model", "hf", "--model_args", "pretrained=gpt2", "--tasks", "t"]])
def test_another_model_class_is_left_alone(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["lm-eval", *words])
        before = HarnessCLI().parse_args()
    assert vars(completed(*words)) == vars(before)


def test_a_configuration_file_is_completed_too(home: Path) -> None:
    (home / "c.yaml").write_text(
        yaml.safe_dump({"model": "lukv", "model_args": {"ratio": 0.5}, "metadata": {"max_seq_lengths": [512]}})
    )
    given = completed("run", "--config", str(home / "c.yaml"), "--tasks", "t")
    assert given.model_args == {"ratio": 0.5, "pretrained": "smollm2-135m"}
    assert given.metadata.keys() == {"tokenizer", "max_seq_lengths"}


COUNTED = """
from datasets import Dataset
from lm_eval.tasks.ruler.common_utils import get_tokenizer


def load(**metadata):
    tokenizer = get_tokenizer(**metadata)
    text = "The keeper lit the lamp at nine. " * 20
    row = {"context": text, "question": "When?", "n_tokens": len(tokenizer(text)["input_ids"])}
    return {"test": Dataset.from_list([row])}
"""
"""Takes its tokenizer as lm-eval's RULER tasks do, which make 500 samples first."""


@pytest.fixture
def counted_task(home: Path) -> Path:
    (home / "counted.py").write_text(COUNTED)
    (home / "counted.yaml").write_text(
        "task: counted\ndataset_path: ''\ntest_split: test\ncustom_dataset: !function counted.load\n"
        'doc_to_text: "{{context}}\\n{{question}}"\ndoc_to_target: "{{n_tokens}}"\noutput_type: generate_until\n'
        "generation_kwargs: {max_gen_toks: 3, do_sample: false, until: []}\n"
        "metric_list: [{metric: exact_match}]\n"
    )
    return home / "counted.yaml"


def test_the_readmes_line_runs_as_it_stands_on_a_task_that_needs_a_tokenizer(
    lukv_bench: Any, home: Path, counted_task: Path, own_tasks_alone: None
) -> None:
    readme = (Path(__file__).parents[4] / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    (lukv-bench lm-eval run .*--tasks T)", readme, re.MULTILINE)
    words = shlex.split(line.replace("--tasks T", f"--tasks {counted_task}"))[1:]
    assert not any("pretrained" in word for word in words)
    ended = lukv_bench(*words, "--output_path", home / "out")
    assert ended.code == 0, ended.err[-2000:]
    (results,) = (home / "out").rglob("results_*.json")
    assert results.parent.name == "smollm2-135m", "the folder is called like the model"
    found = json.loads(results.read_text())["config"]
    assert (found["allocator"], found["scorer"], found["ratio"]) == ("lukv", "keydiff", "0.8")


def test_the_help_says_how_a_model_is_given(program: Any) -> None:
    ended = program("lm-eval", "--help")
    assert ended.code == 0
    assert "pretrained=M,allocator=uniform" in ended.out
