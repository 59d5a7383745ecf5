"""Databases for the site: made through the store, as a run makes them."""

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

import lukv_bench.leaderboard.site
from lukv_bench.db.records import AnswerRecord, TimingRecord
from lukv_bench.db.schema import Cell, Configuration, Environment, MethodPage, Model, Sample, Task
from lukv_bench.db.store import Store
from lukv_bench.db.urls import resolve_url

from .ceilings_database import write_ceilings
from .evidence_database import write_evidence
from .hostile_database import write_hostile_texts, write_wrong_shapes
from .measured_database import write_costs

APP = Path(lukv_bench.leaderboard.site.__file__).with_name("app.py")
PLACES = (("fwe", 1280), ("niah", 1280), ("niah", 2560))
N_SAMPLES = 12
RATIOS = ("0.5", "0.8")
RIGHT = {"full": 1.0, "lukv": 0.95, "adakv": 0.7, "uniform": 0.4}
"""Share of the samples that an allocator answers right at a ratio of 0.8, with whichever scorer."""

_EASIER = {"0.5": 0.05, "0.8": 0.0, "0.9": -0.2}
_DIGEST = 32


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest puts the script that it runs in the place of `__main__`; a process started later would run it again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(autouse=True, scope="session")
def component_manifests() -> Iterator[None]:
    """AppTest looks through all installed packages for components each time, a quarter of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


def identity(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Method:
    """A configuration of the results that the tests look at."""

    allocator: str
    scorer: str | None = None
    ratio: str | None = None
    protocol: str = "agnostic"

    @property
    def row(self) -> Configuration:
        arguments = {"window": 32} if self.scorer == "snapkv" else {}
        plugin = {"distribution": "lukv-bench", "version": "0.1.0"}
        spec: dict[str, Any] = {"truncation": "refuse", "chat_form": "chat", "attention": "ragged-torch"}
        spec["ratio"] = self.ratio
        spec["allocator"] = {"name": self.allocator, "arguments": {}, **plugin}
        spec["scorer"] = self.scorer and {"name": self.scorer, "arguments": arguments, **plugin}
        return Configuration(
            id=identity(self),
            label=f"{self.allocator} x {self.scorer} @ {self.ratio}",
            model_revision="m" * 64,
            dtype="float32",
            attention="ragged-torch",
            protocol=self.protocol,
            chat_form="chat",
            truncation="refuse",
            allocator=self.allocator,
            scorer=self.scorer,
            scorer_args=arguments,
            ratio=self.ratio,
            sink=4,
            window=32,
            schedule="one-shot",
            seed=0,
            code_version="0.1.0+results.1",
            spec=spec,
        )

    def cell(self, place: tuple[str, int], n_samples: int = N_SAMPLES) -> Cell:
        task, length = place
        return Cell(
            id=identity(self, place),
            configuration_id=identity(self),
            task=task,
            task_version="1",
            length=length,
            samples_asked=n_samples,
        )

    def scores(self, place: tuple[str, int]) -> list[float]:
        """1 or 0 for each sample: the hard samples are lost first, so that methods differ on the same samples."""
        right = RIGHT[self.allocator] + _EASIER.get(self.ratio or "", 0.0)
        ease = np.random.default_rng(len(place[0]) + place[1]).permutation(N_SAMPLES)
        return [float(rank < right * N_SAMPLES) for rank in ease]


METHODS = (
    Method("full"),
    *(
        Method(name, scorer, ratio)
        for name in RIGHT
        if name != "full"
        for scorer in ("keydiff", "snapkv")
        for ratio in RATIOS
    ),
)


def samples(place: tuple[str, int]) -> list[Sample]:
    task, length = place
    return [
        Sample(
            id=identity(place, ordinal),
            task=task,
            task_version="1",
            length=length,
            ordinal=ordinal,
            prompt_hash=identity("prompt", place, ordinal),
            generation_hash="g" * 64,
            reference_answers=[f"{ordinal:04d}"],
        )
        for ordinal in range(N_SAMPLES)
    ]


def answer(run: str, method: Method, place: tuple[str, int], ordinal: int, score: float) -> AnswerRecord:
    share = 1.0 if method.ratio is None else 1 - float(method.ratio)
    return AnswerRecord(
        cell_id=identity(method, place),
        sample_id=identity(place, ordinal),
        run_id=run,
        text=f"It is {ordinal:04d}." if score else "I do not know.",
        score=score,
        stop_reason="eos",
        n_context_tokens=1000,
        n_question_tokens=20,
        n_generated_tokens=9,
        kv_tokens_full=4000,
        kv_tokens_kept=int(4000 * share),
        kv_bytes_full=2**22,
        kv_bytes_kept=int(2**22 * share),
        events=(),
        timing=TimingRecord(prefill_s=2.0, evict_s=0.5, ttft_s=2.75, tpot_s=0.02),
        keep_counts=[[int(800 * share), int(1200 * share)], [int(900 * share), int(1100 * share)]],
    )


def put_plan(store: Store) -> str:
    """Everything that a run puts before its first answer; gives the run's id."""
    window = {"name": "window", "type": "int", "default": 32, "required": False, "meaning": "Last queries that vote."}
    pages = [("allocator", name, []) for name in RIGHT] + [("scorer", "keydiff", []), ("scorer", "snapkv", [window])]
    store.put(
        Model(revision="m" * 64, name="tiny", n_layers=2, n_kv_heads=2, n_query_heads=4, head_dim=8),
        *(
            MethodPage(
                kind=kind,
                name=name,
                distribution="lukv-bench",
                version="0.1.0",
                summary=f"What {name} is.",
                source="https://example.org/paper",
                details="A paragraph.",
                arguments=arguments,
            )
            for kind, name, arguments in pages
        ),
        *(
            Task(name=name, version="1", family="ruler", metric="string_match_all", summary=f"What {name} asks.")
            for name in dict(PLACES)
        ),
        *(method.row for method in METHODS),
        *(method.cell(place) for method in METHODS for place in PLACES),
        *(sample for place in PLACES for sample in samples(place)),
    )
    environment = Environment(
        id="e" * 64, python="3.11.9", platform="linux", device="cpu", machine="a desktop", packages={"torch": "2.13.0"}
    )
    words = ["lukv-bench", "run", "--model", "tiny", "--allocator", "uniform,lukv,adakv", "--scorer", "keydiff,snapkv"]
    return store.start_run(
        [*words, "--ratio", ",".join(RATIOS), "--tasks", "fwe,niah", "--limit", str(N_SAMPLES)], environment
    )


def fill(store: Store, run: str) -> None:
    """An answer to every sample of every cell."""
    for method in METHODS:
        for place in PLACES:
            for ordinal, score in enumerate(method.scores(place)):
                store.put_answer(answer(run, method, place, ordinal, score))


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with 13 configurations, complete on three tasks. Shared: copy it before a change."""
    path = tmp_path_factory.mktemp("filled") / "results.db"
    with Store.open(resolve_url(str(path)), create=True) as store:
        run = put_plan(store)
        fill(store, run)
        store.finish_run(run, 0)
    return path


@pytest.fixture(scope="session")
def measured(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with the cost of the configurations of one scorer and budget measured on two machines."""
    chosen = [each for each in METHODS if each.scorer in (None, "keydiff") and each.ratio in (None, "0.5")]
    configurations = [(identity(each), each.allocator) for each in chosen]
    return write_costs(filled, tmp_path_factory.mktemp("measured") / "results.db", configurations)


@pytest.fixture(scope="session")
def evidenced(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with the evidence of every answer to the needle task."""
    return write_evidence(filled, tmp_path_factory.mktemp("evidenced") / "results.db")


@pytest.fixture(scope="session")
def ceilinged(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with floors and oracles."""
    return write_ceilings(filled, tmp_path_factory.mktemp("ceilinged") / "results.db")


@pytest.fixture
def results(filled: Path, tmp_path: Path) -> Path:
    """The same in a file of the test's own."""
    return Path(shutil.copy(filled, tmp_path / "results.db"))


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A database whose run has not given an answer yet."""
    path = tmp_path / "planned.db"
    with Store.open(resolve_url(str(path)), create=True) as store:
        put_plan(store)
    return path


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a page of the site over a database; parameters are those of a link."""

    def opened(database: Path | str, page: str = "ranking", **parameters: str | list[str]) -> AppTest:
        monkeypatch.setenv("LUKV_BENCH_SITE_DATABASE", str(database))
        site = AppTest.from_file(APP, default_timeout=120)
        if page != "ranking":
            site.switch_page(f"page_scripts/{page}.py")  # a page's address is its file's name: no run has to tell
        for name, value in parameters.items():
            site.query_params[name] = value
        return site.run()

    return opened


@pytest.fixture(scope="session")
def hostile_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with hostile texts of every class in every column."""
    return write_hostile_texts(tmp_path_factory.mktemp("hostile") / "texts.db")


@pytest.fixture(scope="session")
def wrong_shapes(hostile_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose JSON and numbers another program broke."""
    return write_wrong_shapes(hostile_texts, tmp_path_factory.mktemp("wrong") / "shapes.db")
