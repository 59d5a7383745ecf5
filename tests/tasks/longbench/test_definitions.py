"""The definitions against the originals: by digest against THUDM/LongBench, and whole against lm-eval's copy."""

from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import lm_eval
import pytest

from lukv_bench.tasks.catalog import families, names, task_info
from lukv_bench.tasks.definitions import definition_files, read_definition

STOCK = Path(lm_eval.__file__).parent / "tasks" / "longbench"

PROMPTS = {
    "narrativeqa": "aada7ed24b06abac",
    "qasper": "0fbdd123fe7f83d6",
    "multifieldqa_en": "20b4666a2de8a1f7",
    "multifieldqa_zh": "344b3a4e557cd547",
    "hotpotqa": "9ec4ae308865bd0c",
    "2wikimqa": "9ec4ae308865bd0c",
    "musique": "9ec4ae308865bd0c",
    "dureader": "ae53329f51b17908",
    "gov_report": "91c25d585b189ced",
    "qmsum": "dca23b678fe0183b",
    "multi_news": "2af3f28c40b902e6",
    "vcsum": "3e5d8241bc9b512e",
    "trec": "0eff8bebdba99d91",
    "triviaqa": "00a802e6377e72fc",
    "samsum": "a68d884234907eef",
    "lsht": "f3edabdf7fae53d6",
    "passage_count": "986550b6c61009c6",
    "passage_retrieval_en": "39b96b7fa52bdd2a",
    "passage_retrieval_zh": "c1e2346e245eb365",
    "lcc": "6a1f24cf0bb83cd9",
    "repobench-p": "ee9ec182ea5ffeb7",
}
"""Task -> first digits of the sha256 of its prompt in LongBench/config/dataset2prompt.json at 2e00731."""

PROMPT_V2 = "68a162252bc9ff71"
"""The same for prompts/0shot.txt."""

EVEN = [
    "qasper",
    "multifieldqa_en",
    "hotpotqa",
    "2wikimqa",
    "gov_report",
    "multi_news",
    "trec",
    "triviaqa",
    "samsum",
    "passage_count",
    "passage_retrieval_en",
    "lcc",
    "repobench-p",
]
CHINESE = ["multifieldqa_zh", "dureader", "vcsum", "lsht", "passage_retrieval_zh"]
FEW_SHOT = ["trec", "triviaqa", "samsum", "lsht"]

LM_EVAL_LEFT_OUT = {
    "triviaqa": ("{context}\n{input}", "{context}\n\n{input}"),
    "samsum": ("{context}\n{input}", "{context}\n\n{input}"),
    "passage_count": ("answer is:", "answer is: "),
    "passage_retrieval_en": ("answer is:", "answer is: "),
    "lcc": ("of code:", "of code:\n"),
    "repobench-p": ("of code:", "of code:\n"),
}
"""White space that the original's prompts have and lm-eval's do not."""

MEASURES = {
    "get_qa_f1_with_score": "qa_f1",
    "get_qa_f1_zh_with_score": "qa_f1_zh",
    "get_rouge_with_score": "rouge",
    "get_rouge_zh_with_score": "rouge_zh",
    "get_classification_with_score": "classification",
    "get_count_with_score": "count",
    "get_retrieval_with_score": "retrieval",
    "get_retrieval_zh_with_score": "retrieval_zh",
    "get_code_sim_with_score": "code_similarity",
}


def definition(task: str) -> dict[str, Any]:
    return read_definition(definition_files()[task])


def stock(name: str) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    return dict(load_yaml(STOCK / f"{name}.yaml", resolve_func=False))


def variants(names: list[str]) -> set[str]:
    """The tasks of LongBench and of LongBench-E that these name."""
    return {f"longbench_{name}" for name in names} | {f"longbench_e_{name}" for name in names if name in EVEN}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def test_the_families_are_whole() -> None:
    assert set(families()["longbench"]) == {f"longbench_{name}" for name in PROMPTS}
    assert set(families()["longbench_e"]) == {f"longbench_e_{name}" for name in EVEN}
    assert set(families()["longbench_en"]) == {f"longbench_{name}" for name in PROMPTS if name not in CHINESE}
    kinds = ["single", "multi", "summarization", "fewshot", "synthetic", "code"]
    assert sum(len(families()[f"longbench_{kind}"]) for kind in kinds) == 21
    assert sum(len(families()[f"longbench_e_{kind}"]) for kind in kinds) == 13


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts_are_the_originals(name: str) -> None:
    template = definition(f"longbench_{name}")["metadata"]["template"]
    assert digest(template) == PROMPTS[name]
    assert template.count("{context}") == 1
    assert template.index("{context}") < template.find("{input}") or "{input}" not in template


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts_and_lengths_and_measures_are_lm_evals(name: str) -> None:
    theirs, ours = stock(name), definition(f"longbench_{name}")
    prompt = theirs["doc_to_text"].replace("{{context}}", "{context}").replace("{{question}}", "{input}")
    said, meant = LM_EVAL_LEFT_OUT.get(name, ("", ""))
    assert ours["metadata"]["template"] == prompt.replace(said, meant)
    assert ours["generation_kwargs"]["max_gen_toks"] == theirs["generation_kwargs"]["max_gen_toks"]
    measure = str(theirs["process_results"]).rpartition(".")[2].strip("'>")
    assert task_info(f"longbench_{name}").metric == MEASURES[measure]


@pytest.mark.parametrize("name", EVEN)
def test_even_lengths_change_the_rows_alone(name: str) -> None:
    plain, even = definition(f"longbench_{name}"), definition(f"longbench_e_{name}")
    differing = {key for key in plain["metadata"] if plain["metadata"][key] != even["metadata"][key]}
    assert differing == {"family", "groups", "rows", "summary"}
    assert even["metadata"]["rows"] == f"{plain['metadata']['rows']}_e"
    assert {k: v for k, v in plain.items() if k not in ("task", "metadata")} == {
        k: v for k, v in even.items() if k not in ("task", "metadata")
    }


def test_few_shot_and_code_go_without_chat_template() -> None:
    tasks = [*families()["longbench"], *families()["longbench_e"]]
    assert {t for t in tasks if not task_info(t).chat} == variants([*FEW_SHOT, "lcc", "repobench-p"])
    assert {t for t in tasks if task_info(t).first_line} == variants(FEW_SHOT)


def test_decoding_is_greedy_and_what_is_too_long_is_cut_in_the_middle() -> None:
    for family in ("longbench", "longbench_e", "longbench_v2", "longbench_v2_parts"):
        for task in families()[family]:
            generation = definition(task)["generation_kwargs"]
            assert (generation["do_sample"], generation["until"]) == (False, [])
            assert (task_info(task).truncation, task_info(task).needs_length) == ("middle", False)


def test_version_2_asks_as_its_original() -> None:
    for task in ("longbench_v2", *families()["longbench_v2_parts"]):
        template = definition(task)["metadata"]["template"]
        for ours, theirs in {"context": "$DOC$", "question": "$Q$"}.items():
            template = template.replace(f"{{{ours}}}", theirs)
        for letter in "ABCD":
            template = template.replace(f"{{choice_{letter}}}", f"$C_{letter}$")
        assert digest(template) == PROMPT_V2
        assert task_info(task).max_new_tokens == 128


def test_hub_data_are_pinned_to_a_commit() -> None:
    for family in ("longbench", "longbench_e", "longbench_v2", "longbench_v2_parts"):
        for task in families()[family]:
            assert len(definition(task)["metadata"]["published"]["revision"]) == 40


def test_families_stand_together_in_lists() -> None:
    listed = [family for family in (task_info(name).family for name in names()) if family.startswith("longbench")]
    assert len(set(listed)) == 1 + sum(one != other for one, other in pairwise(listed))
