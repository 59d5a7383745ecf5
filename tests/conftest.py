"""The root must not be on sys.path: its kernels/ would pass for Hugging Face's package of that name."""

import fcntl
import gc
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # test workers share the cores, and small products gain nothing
os.environ.setdefault("TRITON_INTERPRET", "1")  # read by `import triton`, so set before any import
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

settings.register_profile("untimed", deadline=None)  # no property is about time, and a busy machine is slow
settings.load_profile("untimed")

_ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A fenced block of a document: its language and its text."""
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _ROOT]

LONGEST = (
    *("tests/bench/cli/installed/", "tests/bench/api/test_documents.py", "tests/bench/cli/test_ray.py"),
    "tests/leaderboard/browser/",
)
"""Tests that take up to minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: at the end, one worker would wait for another that has just begun one of them."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """What is imported by now stays, so the garbage collector need not walk its million objects again and again."""
    gc.collect()
    gc.freeze()


def leave_out(reason: str) -> NoReturn:
    """A test that this machine cannot run is skipped at home and fails in CI, which never passes by skipping."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cannot() -> Callable[[str], NoReturn]:
    """Says why a test cannot run here."""
    return leave_out


@pytest.fixture(scope="session")
def real_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model's folder: fetched and converted by one test worker."""
    from lukv_bench.bench.models.find import find_model  # seconds, which most tests need not spend

    with (tmp_path_factory.getbasetemp().parent / "default-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers' folders are siblings: the first converts, the others wait
        return find_model("smollm2-135m")


def lm_eval_of(loaded: Any) -> Any:
    """lm-eval's task dictionary of a loaded task, with all its documents."""
    from lukv_bench.tasks.load import lm_eval_tasks  # seconds, which most tests need not spend

    return lm_eval_tasks(loaded, list(loaded.documents))


@pytest.fixture(scope="session")
def lm_eval_whole() -> Callable[[Any], Any]:
    """Hands all documents of a loaded task to lm-eval, as its own command line would."""
    return lm_eval_of


@pytest.fixture(scope="session")
def lm_eval_requests() -> Callable[..., Any]:
    """The requests that lm-eval builds for all documents of a loaded task."""

    def requests(loaded: Any, **rules: Any) -> Any:
        task = lm_eval_of(loaded)["tasks"][loaded.info.name]
        task.build_all_requests(**rules)
        return task.instances

    return requests


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real rows and recordings, which are not part of the repository: ../shared/data, or LUKV_BENCH_TEST_DATA."""
    folder = Path(os.environ.get("LUKV_BENCH_TEST_DATA", _ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        leave_out(f"real rows and recordings are expected in {folder}, or where LUKV_BENCH_TEST_DATA points to")
    return folder


def follow_document(document: str, run: Callable[[str], str]) -> list[str]:
    """Do what a document says: write its files, named by a comment on top, and run its bash blocks, in order.

    Gives what each bash block printed.
    """
    printed = []
    for language, text in BLOCK.findall((_ROOT / "docs" / document).read_text(encoding="utf-8")):
        if language == "bash":
            printed.append(run(text))
            continue
        place = Path(re.findall(r"\A# (\S+)\n", text)[0])
        assert not place.is_absolute()
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
    assert printed
    return printed


@pytest.fixture(scope="session")
def follow() -> Callable[[str, Callable[[str], str]], list[str]]:
    """Goes through a document of docs/ in the working folder."""
    return follow_document
