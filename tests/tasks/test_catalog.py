import subprocess
import sys

import pytest
import yaml

from lukv_bench import UserError
from lukv_bench.tasks.catalog import expand, families, names, task_info
from lukv_bench.tasks.definitions import ROOT, definition_files, read_definition
from lukv_bench.tasks.yaml_text import parse

RULER = [
    "cwe",
    "fwe",
    "niah_multikey_1",
    "niah_multikey_2",
    "niah_multikey_3",
    "niah_multiquery",
    "niah_multivalue",
    "niah_single_1",
    "niah_single_2",
    "niah_single_3",
    "qa_1",
    "qa_2",
    "vt",
]


def test_names_are_the_definitions() -> None:
    assert set(names()) >= set(RULER)
    for name, path in definition_files().items():
        assert read_definition(path)["task"] == name, "a task's file is called like the task"


def test_a_task_says_what_it_is() -> None:
    info = task_info("niah_single_1")
    assert (info.name, info.family, info.version) == ("niah_single_1", "ruler", "1")
    assert (info.max_new_tokens, info.needs_length, info.needs_essays) == (128, True, False)
    assert "2404.06654" in info.source
    assert len({task_info(name).summary for name in names()}) == len(names())


def test_names_of_families_stand_for_their_tasks() -> None:
    assert families()["ruler"] == RULER
    assert expand(["niah_single_3", "ruler", "niah_single_1"]) == [
        "niah_single_3",
        *[name for name in RULER if name != "niah_single_3"],
    ]
    assert expand([]) == []
    for family, tasks in families().items():
        assert tasks == [family] or family not in names(), "a family's name never hides another task"


def test_how_a_task_is_put_is_on_its_record() -> None:
    assert task_info("qa_1").metric == "string_match_part"
    info = task_info("niah_single_1")
    assert (info.chat, info.truncation, info.first_line, info.metric) == (True, "refuse", False, "string_match_all")


def test_essays_are_needed_where_they_are_the_haystack() -> None:
    with_essays = {name for name in names() if task_info(name).needs_essays}
    ruler = {"niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multivalue", "niah_multiquery"}
    assert with_essays == ruler | set(expand(["needle_grid"]))


def test_an_unknown_name_is_told_its_neighbour() -> None:
    with pytest.raises(UserError, match=r"^There is no task 'niah_singel_2': did you mean 'niah_single_2'\?$"):
        task_info("niah_singel_2")
    with pytest.raises(UserError, match=r"choose among .*ruler.* or their single tasks"):
        task_info("zzz")
    with pytest.raises(UserError, match=r"did you mean 'ruler'\?$"):
        expand(["niah_single_1", "rulre"])


@pytest.mark.parametrize("name", [name for name in families() if name not in names()])
def test_a_familys_name_is_no_task_and_its_tasks_are_told(name: str) -> None:
    with pytest.raises(UserError, match=rf"^'{name}' is a family of tasks") as told:
        task_info(name)
    assert all(task in str(told.value) for task in families()[name])
    assert "did you mean" not in str(told.value)


@pytest.mark.parametrize("name", ["../ruler/niah_single_1", "_base", "", "niah_single_1.yaml"])
def test_a_path_is_not_a_name(name: str) -> None:
    with pytest.raises(UserError):
        task_info(name)


def test_metadata_is_merged_and_the_rest_is_as_lm_eval_reads_it() -> None:
    from lm_eval.tasks._yaml_loader import load_yaml

    for path in definition_files().values():
        ours, theirs = read_definition(path), load_yaml(path, resolve_func=False)
        base = yaml.compose((ROOT / "ruler" / "_base.yaml").read_text())
        assert base is not None
        assert ours["metadata"].items() >= theirs["metadata"].items()
        functions = {key for key, value in theirs.items() if str(value).startswith(str(ROOT))}
        assert functions == {"custom_dataset", "doc_to_text", "process_results"}
        drop = functions | {"metadata"}
        assert {k: v for k, v in ours.items() if k not in drop} == {k: v for k, v in theirs.items() if k not in drop}


def test_the_catalog_is_light() -> None:
    heavy = "{'lm_eval', 'datasets', 'torch', 'transformers', 'numpy', 'wonderwords'}"
    code = (
        "import sys; from lukv_bench.tasks.catalog import expand, families, names, task_info; "
        f"[task_info(n) for n in names()]; sys.exit(str({heavy} & set(sys.modules) or '') or 0)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr


def test_definitions_read_the_same_with_and_without_pyyamls_c_parser() -> None:
    class Plain(yaml.SafeLoader):
        pass

    Plain.add_constructor("!function", lambda loader, node: str(node.value))
    for path in ROOT.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert parse(text) == yaml.load(text, Loader=Plain), path
