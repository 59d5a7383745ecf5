"""Cells whose samples share documents: real questions about real paragraphs, against statsmodels and pair by pair."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from lukv_bench.db.comparable import Setting
from lukv_bench.db.comparison import result_rows
from lukv_bench.db.frames.cells import read_cells
from lukv_bench.db.frames.sample_scores import read_sample_scores
from lukv_bench.db.pairs import read_pairs
from lukv_bench.db.store import Store
from lukv_bench.tasks.document import Document, facets

if TYPE_CHECKING:
    from .conftest import Rows

N = 45
Z = stats.norm.ppf(0.975)


@pytest.fixture
def paragraphs(shared_data: Path) -> list[str]:
    """By question, the paragraph that it asks about: XQuAD's first ones."""
    articles = json.loads((shared_data / "squad" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    asked = [p["context"] for article in articles for p in article["paragraphs"] for _ in p["qas"]]
    return asked[:N]


@pytest.fixture
def answered(any_store: Store, rows: "Rows", paragraphs: list[str]) -> Store:
    """Two configurations whose scores go with the paragraph, and a task whose samples share nothing."""
    rng = np.random.default_rng(0)
    any_store.put(rows.model, rows.configuration("full", allocator="full", scorer=None, ratio=None, spec={}))
    any_store.put(rows.configuration("uniform-0.8", spec={}))
    run = any_store.start_run(["run"], rows.environment)
    level = {text: rng.uniform() for text in paragraphs}
    for task, texts in (("qasper", paragraphs), ("alone", [str(i) for i in range(N)])):
        samples = rows.samples(N, task=task)
        for sample, text in zip(samples, texts, strict=True):
            document = Document(
                task=task, index=0, context=text, question="", answer_prefix="", outputs=["a"], all_classes=[]
            )
            sample.id, sample.facets = hashlib.sha256(f"{task} {sample.ordinal}".encode()).hexdigest(), facets(document)
        any_store.put(*samples)
        for name in ("full", "uniform-0.8"):
            any_store.put(rows.cell(f"{name} {task}", of=name, samples=N, task=task))
            for sample, text in zip(samples, texts, strict=True):
                score = float(rng.uniform() < level.get(text, 0.5)) if name == "full" else rng.uniform()
                given = {"timing": None, "keep_counts": None, "score": score, "sample_id": sample.id}
                any_store.put_answer(rows.answer(run, 0, f"{name} {task}", **given))
    return any_store


def scores_of(store: Store, cell: str) -> pd.DataFrame:
    return read_sample_scores(store, [cell])


def clustered_error(scores: pd.DataFrame) -> float:
    """statsmodels' standard error of a mean of clusters; its factor (n - 1)/(n - k) is 1 for a mean."""
    fitted = sm.OLS(scores["score"].to_numpy(), np.ones(len(scores))).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(scores["document"])[0]}
    )
    return float(fitted.bse[0])


def test_an_interval_is_of_the_clustered_error(answered: Store, paragraphs: list[str]) -> None:
    """Wilson's, for as many right and wrong answers as have the variance that statsmodels finds between documents."""
    n_documents = len(set(paragraphs))
    rows = {row["cell"]: row for row in result_rows(answered)}
    assert {rows[f"{name} qasper"]["n_documents"] for name in ("full", "uniform-0.8")} == {n_documents}
    assert {rows[f"{name} alone"]["n_documents"] for name in ("full", "uniform-0.8")} == {N}
    for name in ("full", "uniform-0.8"):
        scores = scores_of(answered, f"{name} qasper")
        p = scores["score"].mean() / 100
        reach = stats.t.ppf(0.975, n_documents - 1) / Z
        n = p * (1 - p) / (clustered_error(scores) / 100 * reach) ** 2
        centre, half = (p + Z**2 / (2 * n)) / (1 + Z**2 / n), (p * (1 - p) / n + Z**2 / (4 * n * n)) ** 0.5
        half *= Z / (1 + Z**2 / n)
        assert rows[f"{name} qasper"]["interval"] == pytest.approx([100 * (centre - half), 100 * (centre + half)])
    plain = stats.binomtest(round(0.01 * N * rows["full qasper"]["score"]), N).proportion_ci(method="wilson")
    low, high = rows["full qasper"]["interval"]
    assert high - low > 1.3 * 100 * (plain.high - plain.low), "taken for independent, the interval is too narrow"


def test_a_gain_is_that_of_compare(answered: Store) -> None:
    rows = {row["cell"]: row for row in result_rows(answered, against="full")}
    (pair,) = read_pairs(answered, "uniform", "full")
    for task in pair.tasks:
        row, paired = rows[task.a["cell"]], task.paired
        assert paired.n_documents == row["n_documents"]
        assert row["gain"] == pytest.approx([paired.difference, paired.low, paired.high])
    alone, qasper = (rows[f"uniform-0.8 {task}"]["gain"] for task in ("alone", "qasper"))
    assert qasper[2] - qasper[1] > 1.2 * (alone[2] - alone[1])


def test_the_site_s_cells_have_the_same_intervals(answered: Store) -> None:
    rows = {row["cell"]: row for row in result_rows(answered)}
    cells = read_cells(answered, Setting.of(next(iter(rows.values()))))
    assert len(cells) == 4
    for cell in cells.to_dict("records"):
        assert [cell["interval_low"], cell["interval_high"]] == pytest.approx(rows[cell["cell"]]["interval"])
