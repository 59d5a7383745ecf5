"""lm-eval's own command line as a client: without eviction it gives what lm-eval's own model class gives."""

import json
import random
import re
import shlex
import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lm_eval._cli import HarnessCLI
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from lukv_bench import UserError
from lukv_bench.bench.lmeval_client.arguments import parse_arguments
from lukv_bench.bench.lmeval_client.boundary import context_end
from lukv_bench.bench.lmeval_client.command import complete
from lukv_bench.bench.lmeval_client.model import LukvLM

WORDS = ["lamp", "keeper", "light", "storm", "boat", "harbour", "north", "stone", "letter", "ledger"]
DOCUMENTS = 4


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


TASKS = (
    "t_generate",
    "t_prefix",
    "t_stop",
    "t_untold",
    "t_choice",
    "t_choice_spaces",
    "t_choice_no_context",
    "t_rolling",
)
Answers = Mapping[str, list[Any]]
Evaluate = Callable[..., Answers]


@pytest.fixture(scope="session")
def evaluate(tasks: Path) -> Evaluate:
    """Every task's raw answers, document by document, from a model of lm-eval's kind."""

    def run(model: Any, names: tuple[str, ...] = TASKS, **more: Any) -> Answers:
        manager = TaskManager(include_defaults=False, include_path=str(tasks))
        found = simple_evaluate(model=model, tasks=list(names), task_manager=manager, bootstrap_iters=1, **more)
        return {name: [row["resps"] for row in rows] for name, rows in found["samples"].items()}

    return run


@pytest.fixture(scope="session")
def theirs(slow: Path) -> HFLM:
    return HFLM(pretrained=str(slow), device="cpu", dtype="float32", max_length=48 * 8)


def ours(folder: Path, **arguments: Any) -> LukvLM:
    return LukvLM(**{"pretrained": str(folder), "device": "cpu", "dtype": "float32"} | arguments)


class Seen(LukvLM):
    """Writes down what is read before the eviction."""

    def _answers(self, doing: str, feeds: Any, answer: Any) -> list[Any]:
        self.feeds = feeds
        return super()._answers(doing, feeds, answer)


def assert_same(one: Answers, other: Answers) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert len(one[name]) == len(other[name]) == DOCUMENTS
        for mine, their in zip(flat(one[name]), flat(other[name]), strict=True):
            if isinstance(mine, float):
                assert mine == pytest.approx(their, abs=1e-4), name
            else:
                assert mine == their, name


def flat(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in flat(part)] if isinstance(value, list | tuple) else [value]


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_without_eviction_every_answer_and_likelihood_is_that_of_lm_evals_own_model(
    slow: Path, theirs: HFLM, evaluate: Evaluate, chat: bool
) -> None:
    names = tuple(name for name in TASKS if not (chat and name == "t_rolling"))
    full = evaluate(ours(slow, allocator="full", max_length=48 * 8), names, apply_chat_template=chat)
    assert_same(full, evaluate(theirs, names, apply_chat_template=chat))
    assert any(text for texts in full["t_generate"] for (text,) in texts)
    assert all("o" not in text for texts in full["t_stop"] for (text,) in texts)


@pytest.fixture(scope="module")
def adds_bos(slow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a tokenizer that puts a BOS in front by itself, as Llama's does."""
    folder = tmp_path_factory.mktemp("models") / "bos"
    shutil.copytree(slow, folder)
    tokenizer = AutoTokenizer.from_pretrained(slow)
    bos = tokenizer.bos_token
    adds = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)])
    tokenizer.backend_tokenizer.post_processor = adds
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_a_tokenizers_own_bos_is_there_once_as_in_lm_evals_own_model(
    adds_bos: Path, evaluate: Evaluate, chat: bool
) -> None:
    names = ("t_generate", "t_prefix", "t_choice", "t_choice_no_context", *(() if chat else ("t_rolling",)))
    theirs = HFLM(pretrained=str(adds_bos), device="cpu", dtype="float32", max_length=48 * 8)
    model = Seen(pretrained=str(adds_bos), allocator="full", max_length=48 * 8)
    assert_same(evaluate(model, names, apply_chat_template=chat), evaluate(theirs, names, apply_chat_template=chat))
    evaluate(model, ("t_generate",), apply_chat_template=chat)
    bos = model.tokenizer.bos_token_id
    turns = 3 if chat else 1  # the template opens each of its turns with the same token
    assert all((*feed.context, *feed.rest).count(bos) == turns for feed in model.feeds)
    assert all(feed.context[0] == bos for feed in model.feeds)


def test_keeping_everything_is_the_full_cache_and_evicting_is_not(slow: Path, evaluate: Evaluate) -> None:
    full = evaluate(ours(slow, allocator="full"))
    assert_same(evaluate(ours(slow, allocator="uniform", keep_tokens=5000)), full)
    evicted = evaluate(ours(slow, allocator="uniform", ratio=0.8, sink=0, window=0))
    assert all(evicted[name] != full[name] for name in ("t_generate", "t_choice", "t_rolling"))
    assert evicted["t_choice_no_context"] == full["t_choice_no_context"], "there was nothing to evict"


def test_few_shot_examples_in_front_do_not_move_the_boundary(slow: Path, evaluate: Evaluate, theirs: HFLM) -> None:
    shots: dict[str, Any] = {"num_fewshot": 2}
    full = evaluate(ours(slow, allocator="full"), ("t_choice",), **shots)
    assert_same(full, evaluate(theirs, ("t_choice",), **shots))


@pytest.mark.parametrize("task", ["t_generate", "t_prefix", "t_choice"])
def test_the_context_alone_is_evicted_and_all_of_it_under_aware(slow: Path, evaluate: Evaluate, task: str) -> None:
    for protocol in ("agnostic", "aware"):
        model = Seen(pretrained=str(slow), allocator="uniform", ratio=0.5, protocol=protocol)
        evaluate(model, (task,))
        for feed in model.feeds:
            front, back = model.tokenizer.decode(feed.context), model.tokenizer.decode(feed.rest)
            assert front.startswith("Read this. ")
            if protocol == "agnostic":
                assert "Where" not in front
                assert back.startswith("\nWhere is the ")
            else:
                assert "Where is the" in front
                assert len(feed.rest) == 1 or task == "t_choice"
                assert "Where" not in back


def test_a_prompt_that_tells_no_context_is_evicted_whole_and_that_is_said(
    slow: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Seen(pretrained=str(slow), allocator="uniform", ratio=0.5)
    evaluate(model, ("t_untold",))
    assert {len(feed.rest) for feed in model.feeds} == {1}
    assert "4 of 4 requests do not tell where their context ends" in capsys.readouterr().err


def counted(model: LukvLM) -> tuple[Any, ...]:
    """What lm-eval writes into its results file."""
    info = model.get_model_info()
    assert info["protocol"] == model.arguments.protocol
    return tuple(info[name] for name in ("requests", "requests_evicted_whole", "events"))


def test_how_many_requests_were_evicted_whole_stands_in_the_results(slow: Path, evaluate: Evaluate) -> None:
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
    slow: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ours(slow, allocator="uniform", ratio=0.5)
    evaluate(model, ("t_choice_no_context",))
    assert counted(model) == (4 * 3, 0, {})
    assert "where their context ends" not in capsys.readouterr().err


@pytest.mark.parametrize(("task", "requests"), [("t_generate", 4), ("t_choice", 12), ("t_rolling", 4)])
def test_what_the_eviction_notes_is_told_once_and_stands_in_the_results(
    slow: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str], task: str, requests: int
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
    texts = [" ".join(WORDS * 6), " ".join(WORDS * 5), "hi a b", ""]
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
    slow: Path, tiny_documents: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    manager = TaskManager(include_defaults=False, include_path=str(tiny_documents))

    def answered(model: LukvLM) -> list[Any]:
        found = simple_evaluate(model=model, tasks=[task], task_manager=manager, bootstrap_iters=1)
        return [flat(row["resps"])[0] for row in found["samples"][task]]

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
        assert "2 of 4 requests do not tell where their context ends" in err


def test_a_budget_that_no_context_could_be_served_is_still_refused(slow: Path, evaluate: Evaluate) -> None:
    with pytest.raises(UserError, match="4 tokens/head is fewer than the 8 protected"):
        evaluate(ours(slow, allocator="uniform", keep_tokens=4, sink=4, window=4), ("t_generate",))


def test_too_long_a_prompt_is_refused_or_loses_the_middle_of_its_context(
    slow: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"window has 60.*truncation=middle"):
        evaluate(ours(slow, allocator="full", max_length=60), ("t_generate",))
    model = Seen(pretrained=str(slow), allocator="full", max_length=60, truncation="middle")
    whole = Seen(pretrained=str(slow), allocator="full")
    for one in (model, whole):
        evaluate(one, ("t_generate",))
    assert "cut out of the middle" in capsys.readouterr().err
    assert (counted(model)[2], counted(whole)[2]) == ({"truncated_middle": 4}, {})
    for cut, full in zip(model.feeds, whole.feeds, strict=True):
        assert cut.rest == full.rest
        assert len(cut.context) + len(cut.rest) + 12 == 60
        half = len(cut.context) // 2
        assert cut.context[:half] == full.context[:half]
        assert cut.context[half:] == full.context[-(len(cut.context) - half) :]


STOCK = {
    "niah_multikey_2": "for a is: b.|\nWhat is the special magic number for a mentioned in the provided text?",
    "niah_multivalue": "for a is: b.|\nWhat are all the special magic numbers for a mentioned in the provided text?",
    "ruler_vt": "x\nQuestion: Find all variables that are assigned the value 1 in the text above. y\n\nMemorize|"
    "\nQuestion: Find all variables that are assigned the value 2 in the text above.",
    "ruler_cwe": "1. a\nQuestion: What are the 10 most common words in the above list? Answer: a\n2. b|"
    "\nQuestion: What are the 10 most common words in the above list?",
    "ruler_fwe": "... abc ...|\nQuestion: Do not provide any explanation. Please ignore the dots '....'.",
    "ruler_qa_squad": "Answer the question based on the given documents. Document 1:\nx|"
    "\n\nAnswer the question based on the given documents. Only give me the answer\n\nQuestion: Why?",
}
"""The ends of lm-eval's own prompts; the bar is where the question begins."""


@pytest.mark.parametrize("task", STOCK)
def test_rulers_stock_prompts_end_their_context_where_the_question_opens(task: str) -> None:
    prompt = STOCK[task].replace("|", "")
    assert context_end(task, {"input": prompt}, f"<user>{prompt}<assistant>") == len("<user>") + STOCK[task].index("|")


def test_a_ruler_prompt_without_its_question_is_refused() -> None:
    with pytest.raises(UserError, match="RULER's question"):
        context_end("ruler_vt", {"input": "no question"}, "no question")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scorrer": "keydiff"}, ("scorrer", "did you mean 'scorer'")),
        ({"ratio": 1.5}, ("--ratio", "1.5")),
        ({"ratio": 0.5, "keep_tokens": 5}, ("either",)),
        ({"keep_tokens": "many"}, ("keep_tokens", "whole number")),
        ({"protocol": "blind"}, ("protocol", "agnostic or aware")),
        ({"truncation": "left"}, ("truncation", "refuse or middle")),
        ({"trust_remote_code": True}, ("trust_remote_code",)),
        ({"tokenizer": "gpt2"}, ("--metadata",)),
        ({"sink": -1}, ("sink", "at least 0")),
        ({"enable_thinking": "maybe"}, ("enable_thinking", "True or False")),
        ({"think_end_token": "</think>"}, ("think_end_token", "enable_thinking=True")),
        ({"enable_thinking": True, "think_end_token": 7}, ("think_end_token", "</think>")),
    ],
)
def test_a_wrong_model_argument_gets_one_sentence(given: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as refusal:
        parse_arguments(given)
    for word in words:
        assert word in str(refusal.value)


def test_a_plugins_later_arguments_stand_behind_a_semicolon() -> None:
    read = parse_arguments({"scorer": "one:a=1;b=x,y;c=2", "allocator": "two", "ratio": 0.1, "batch_size": 8})
    assert (read.scorer, read.allocator, str(read.budget)) == ("one:a=1,b=x,y,c=2", "two", "0.1")


@pytest.mark.parametrize("kwargs", [{"do_sample": True}, {"temperature": 0.7, "do_sample": True}, {"num_beams": 4}])
def test_what_is_not_greedy_is_refused(slow: Path, evaluate: Evaluate, kwargs: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"greedily|num_beams"):
        evaluate(ours(slow, allocator="full"), ("t_generate",), gen_kwargs=kwargs)


@pytest.fixture
def own_tasks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval's command line without its thousands of tasks, which take seconds to index."""
    real = TaskManager.__init__
    monkeypatch.setattr(TaskManager, "__init__", lambda *a, **more: real(*a, **more | {"include_defaults": False}))


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
    lukv_bench: Any, slow: Path, tasks: Path, evaluate: Evaluate, home: Path
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


@pytest.mark.parametrize(
    ("model_args", "words"),
    [
        ("ratio=2", ("--ratio", "2")),
        ("scorrer=keydiff", ("did you mean 'scorer'",)),
        ("allocator=unifrom", ("did you mean 'uniform'",)),
        ("pretrained=nowhere", ("unknown model", "nowhere")),
        ("tokenizer=gpt2", ("--metadata",)),
    ],
)
def test_bad_model_args_are_refused_before_the_tasks_are_indexed(
    lukv_bench: Any, monkeypatch: pytest.MonkeyPatch, model_args: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(TaskManager, "__init__", lambda *_, **__: pytest.fail("a minute of indexing for nothing"))
    ended = lukv_bench("lm-eval", "run", "--model", "lukv", "--model_args", model_args, "--tasks", "arc_easy")
    assert ended.code == 2, ended.err
    for word in words:
        assert word in ended.err.splitlines()[-1]


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
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    (lukv-bench lm-eval run .*--tasks T)", readme, re.MULTILINE)
    words = shlex.split(line.replace("--tasks T", f"--tasks {counted_task}"))[1:]
    assert not any("pretrained" in word for word in words)
    ended = lukv_bench(*words, "--output_path", home / "out")
    assert ended.code == 0, ended.err[-2000:]
    (results,) = (home / "out").rglob("results_*.json")
    assert results.parent.name == "smollm2-135m", "the folder is called like the model"
    found = json.loads(results.read_text())["config"]
    assert (found["allocator"], found["scorer"], found["ratio"]) == ("lukv", "keydiff", "0.8")


def test_the_contexts_field_may_have_any_name(slow: Path, evaluate: Evaluate) -> None:
    assert_same(
        evaluate(ours(slow, allocator="uniform", ratio=0.5, context_field="context"), ("t_generate",)),
        evaluate(ours(slow, allocator="uniform", ratio=0.5), ("t_generate",)),
    )
    asked = Seen(pretrained=str(slow), allocator="uniform", ratio=0.5, context_field="question", sink=2, window=2)
    evaluate(asked, ("t_generate",))
    default = Seen(pretrained=str(slow), allocator="uniform", ratio=0.5, sink=2, window=2)
    evaluate(default, ("t_generate",))
    assert all(len(a.context) > len(b.context) for a, b in zip(asked.feeds, default.feeds, strict=True))
    assert all(feed.told for feed in asked.feeds)
    with pytest.raises(UserError, match=r"t_generate have no text field 'passage' .*they have: context, question"):
        evaluate(ours(slow, allocator="uniform", ratio=0.5, context_field="passage"), ("t_generate",))


def test_the_help_says_how_a_model_is_given(program: Any) -> None:
    ended = program("lm-eval", "--help")
    assert ended.code == 0
    assert "pretrained=M,allocator=uniform" in ended.out


def test_likelihoods_behind_a_rotary_switch_are_those_of_lm_evals_own_model(
    slow: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    """LongRoPE whose switch lies behind the first half of every text, and behind the contexts of the questions."""
    folder = tmp_path / "longrope"
    shutil.copytree(slow, folder)
    config = json.loads((folder / "config.json").read_text())
    factors = {"short_factor": [1.0] * 8, "long_factor": [1.5 + n for n in range(8)], "attention_factor": 1.0}
    names = ("t_choice", "t_choice_no_context", "t_rolling")

    def switching_behind(switch: int) -> None:
        rope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": switch, **factors}
        (folder / "config.json").write_text(json.dumps(config | {"rope_parameters": rope}))

    model = Seen(pretrained=str(slow), allocator="full")
    evaluate(model, ("t_choice",))
    switch = max(len(feed.context) for feed in model.feeds)
    assert any(len(feed.context) + len(feed.rest) > switch for feed in model.feeds)
    found = []
    for behind in (switch, switch * 3 // 4):  # the whole texts are as long as the contexts
        switching_behind(behind)
        theirs = HFLM(pretrained=str(folder), device="cpu", dtype="float32", max_length=48 * 8)
        found.append(evaluate(ours(folder, allocator="full", max_length=48 * 8), names))
        assert_same(found[-1], evaluate(theirs, names))
    assert found[0]["t_rolling"] != found[1]["t_rolling"], "the texts reach beyond the second switch"
