"""What a reader of the tables sees."""

from typing import Any

import pytest

from lukv_bench.bench.reports.grid import grid
from lukv_bench.bench.reports.table import markdown, print_table

OURS = {"arguments": {}, "distribution": "lukv-bench", "version": "0.1.0"}
SPEC = {"truncation": "refuse", "chat_form": "chat-1", "attention": "ragged-torch", "allocator": OURS, "scorer": OURS}


def row(**more: Any) -> dict[str, Any]:
    values = {
        "model": "tiny",
        "model_revision": "r",
        "dtype": "float32",
        "protocol": "agnostic",
        "seed": 0,
        "code_version": "1",
        "task": "niah_single_1",
        "length": 1024,
        "allocator": "lukv",
        "allocator_args": {},
        "scorer": "keydiff",
        "scorer_args": {},
        "ratio": 0.8,
        "keep_tokens": None,
        "n": 12,
        "n_documents": 12,
        "samples_asked": 12,
        "score": 50.0,
        "status": "complete",
        "interval": [25.4, 74.6],
        "gain": [12.5, -3.0, 28.0],
        "kv_bytes_full": 2**21,
        "kv_bytes_kept": 2**20,
        "ttft_s": 1.5,
        "tpot_s": 0.05,
        "sink": 4,
        "window": 1,
        "profile_hash": "abcdef0123",
        "events": {},
        "n_fidelity": 0,
        "n_evidence": 0,
        "kept_hash": None,
        "is_oracle": False,
        "share_of_oracle": None,
        "label": "lukv x keydiff @ 0.8",
        "n_failed": 0,
        "error": None,
        "machine": "cpu",
        "cell": "c" * 64,
        "task_version": "1",
        "data_revision": "0123456789",
        "spec": SPEC,
        **more,
    }
    return {"configuration": repr(values), **values}  # those that differ in anything are of different ones


def test_what_must_not_be_ranked_together_stands_in_tables_of_its_own() -> None:
    text = markdown([row(), row(protocol="aware"), row(dtype="bfloat16"), row(seed=1)])
    assert text.count("| task |") == 4
    assert "tiny (r), float32, aware, seed 0" in text
    assert markdown([row(), row(ratio=0.9)]).count("| task |") == 1


def test_rows_that_differ_only_in_profile_or_protection_show_it() -> None:
    assert "profile" not in markdown([row(), row(allocator="uniform", profile_hash=None)])
    text = markdown([row(), row(profile_hash="9876543210")])
    assert "| profile |" in text
    others = [row(spec=SPEC | {"profiles": {"scorer": digest}}) for digest in ("1111222233", "5555666677")]
    assert "| abcdef01 11112222 |" in markdown(others)
    assert "| abcdef01 55556666 |" in markdown(others)
    assert "abcdef01" in text
    assert "98765432" in text
    assert "| sink |" in markdown([row(), row(sink=0)])


def test_a_plugin_inside_another_is_shown_as_one_would_type_it() -> None:
    snapkv = {"name": "snapkv", "arguments": {"window": 9}, "distribution": "d", "version": "1"}
    plain = {"name": "knorm", "arguments": {}, "distribution": "d", "version": "1"}
    text = markdown(
        [
            row(scorer="critical", scorer_args={"of": snapkv, "epsilon": 0.5}),
            row(scorer="critical", scorer_args={"of": plain, "epsilon": 0.5}),
        ]
    )
    assert "| critical:of=(snapkv:window=9),epsilon=0.5 |" in text
    assert "| critical:of=knorm,epsilon=0.5 |" in text


def test_a_budget_says_which_kind_it_is() -> None:
    text = markdown([row(), row(ratio=None, keep_tokens=256), row(allocator="full", scorer=None, ratio=0.0)])
    assert "| prune 0.8 |" in text
    assert "| keep 256 |" in text


def test_an_unfinished_cell_shows_how_far_it_is_and_no_score() -> None:
    text = markdown([row(status="partial", n=7, score=None, interval=None, gain=None, kv_bytes_kept=None, ttft_s=None)])
    assert "partial (7 of 12)" in text


def shown(
    rows: list[dict[str, Any]], width: int | None, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a terminal of that width shows, or a pipe."""
    patch.setenv("COLUMNS", str(width))
    patch.setattr("sys.stdout.isatty", lambda: width is not None, raising=False)
    print_table(rows)
    return capsys.readouterr().out


ROWS = [
    row(allocator="full", scorer=None, ratio=0.0, score=91.7, interval=[64.6, 98.5], gain=None),
    row(allocator="uniform", score=8.3, interval=[1.5, 35.4], gain=None),
    row(),
    row(length=512, score=41.7, interval=[19.3, 68.0], gain=[33.3, 1.2, 59.1]),
    row(length=512, ratio=0.9, n=7, score=None, status="partial", interval=None, gain=None, kv_bytes_kept=None,
        ttft_s=None, tpot_s=None),
]  # fmt: skip


@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize("width", [60, 80, 120, 200, None])
def test_no_terminal_is_so_narrow_that_numbers_are_cut_or_rows_look_alike(
    width: int | None, term: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", term)
    text = shown(ROWS, width, monkeypatch, capsys)
    for value in ("91.7 [64.6, 98.5]", "+33.3 [+1.2, +59.1]", "1024", "512", "prune 0.8", "prune 0.9", "(7 of 12)"):
        assert value in text
    assert "…" not in text
    if width is not None:
        assert max(map(len, text.splitlines())) <= width
    for column in ("tpot", "ttft", "KV kept"):
        assert column in text  # as a column, or among those that are named as left out


def test_a_narrow_table_says_once_what_its_rows_share_and_names_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(allocator=name, scorer=f"scorer_{name}") for name in ("uniform", "lukv", "adakv")]
    lines = shown(rows, 90, monkeypatch, capsys).splitlines()
    assert "task niah_single_1, length 1024" in " ".join(lines[:3])
    header = next(line for line in lines if line.startswith("allocator"))
    assert header.split() == ["allocator", "scorer"], "all else is the same in the three rows"
    rows = [row(score=10.0 + number, interval=[number, 50.0], length=512 * number, kv_bytes_kept=number * 2**18,
                gain=[number, -1.0, 9.0], ttft_s=number, tpot_s=number / 100, ratio=number / 10, n=number,
                scorer=f"scorer_{number}") for number in range(1, 4)]  # fmt: skip
    text = shown(rows, 86, monkeypatch, capsys)
    assert "length" in next(line for line in text.splitlines() if "score [95%]" in line)
    assert "not shown for lack of width: tpot s, ttft s" in text
    assert "scorer_3" in text


def test_a_name_without_end_and_control_characters_leave_the_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown([row(task="x" * 10_000), row(task="a\x1b[2Jb\nc")], 80, monkeypatch, capsys)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert r"a\x1b[2Jb\nc" in text


def test_the_reason_of_a_failure_stands_under_the_table() -> None:
    failed = row(
        status="partial", n=9, n_failed=3, error="RuntimeError:\nno room", score=None, interval=None, gain=None
    )
    text = markdown([row(), failed])
    assert "| partial (9 of 12, 3 failed) |" in text
    line = "- failed: niah_single_1 1024, lukv x keydiff, prune 0.8: 3 of 12 answers failed: RuntimeError: no room"
    assert line in text.splitlines()
    assert "the same run again retries what failed" in text
    assert "and 20 more cells" in markdown([failed] * 30)
    assert line in grid([row(), failed])


def test_seconds_of_two_machines_in_one_table_name_them() -> None:
    assert "machine" not in markdown([row(), row(ratio=0.9, machine=None)])
    assert "| machine |" in markdown([row(), row(ratio=0.9, machine="H900")])


MEASURED = {"n_fidelity": 12, "kl_nats": 0.25, "agreement": 0.875, "reference_nll": 1.5, "full_reference_nll": 0.25}


def test_fidelity_is_shown_and_explained_where_it_was_measured() -> None:
    assert "KL" not in markdown([row()])
    text = markdown([row(**MEASURED), row(ratio=0.9, kl_nats=None, agreement=None, reference_nll=None)])
    assert "| KL | same token | NLL |" in text
    assert "| 0.2500 | 87.5% | 1.500 of 0.250 |" in text
    assert "|  |  |  |" in text
    assert "| 0.2500 (3 of 12) | 87.5% (3 of 12) |" in markdown([row(**MEASURED | {"n_fidelity": 3})])
    assert "KL: of the evicted from the full cache's next token" in text


def test_configurations_that_kept_the_same_are_named_once_with_their_tasks() -> None:
    same = [row(label=label, allocator=label, task=task, kept_hash="h") for task in "ab" for label in ("x", "y")]
    other = [row(label="z", allocator="z", kept_hash="other"), row(label="w", allocator="w", seed=1, kept_hash="h")]
    text = markdown([*same, *other])
    assert text.count("kept the same positions of every sample") == 1
    assert "kept the same positions of every sample: x, y (a at 1024, b at 1024)" in text
    assert "kept the same" not in markdown([row(label="x"), row(label="y", allocator="y")])
    by_block = row(label="y", kept_hash="h", spec=SPEC | {"schedule": "block:16"}, schedule="block:16")
    assert "kept the same" not in markdown([row(label="x", kept_hash="h"), by_block])


def test_columns_are_explained_in_plain_words() -> None:
    text = markdown([row()])
    assert "0 to 100, higher is better" in text
    assert '"prune 0.8" evicts 80% of the context\'s cache' in text
    assert '"prune 0.8" evicts 80% of the context\'s cache' in grid([row()])


@pytest.mark.parametrize(("width", "tables"), [(60, 3), (80, 3), (100, 2), (200, 1), (None, 1)])
def test_a_grid_wider_than_the_terminal_goes_on_below(width: int | None, tables: int) -> None:
    text = grid([row(ratio=ratio) for ratio in (0.5, 0.8, 0.9)], width)
    assert text.count("| scorer | allocator |") == tables
    assert text.count("50.0 (+12.5 [-3.0, +28.0])") == 3
    if width is not None:
        assert max(len(line) for line in text.splitlines() if line.startswith("|")) <= width


def test_a_grid_has_budgets_across_and_nothing_overwrites_anything() -> None:
    full = row(allocator="full", scorer=None, ratio=0, gain=None, score=90.0, interval=[70.0, 98.0])
    rows = [
        full,
        row(allocator="uniform", gain=None, score=10.0, interval=[1.0, 30.0]),
        row(),
        row(ratio=0.9, gain=[2.5, -1.0, 8.0]),
        row(window=9, score=40.0, gain=None, interval=[20.0, 60.0]),
        row(task="other", length=None, status="partial", score=None, interval=None, gain=None, n=2, samples_asked=3),
        row(task="other", length=None, spec=SPEC | {"truncation": "middle"}),
        row(task="other", status="partial", score=None, interval=None, gain=None, n=3),
    ]
    text = grid(rows)
    assert "## niah_single_1, 1024 tokens" in text
    assert "Full cache: 90.0 [70.0, 98.0], n = 12." in text
    assert "| scorer | allocator | window | prune 0.8 | prune 0.9 |" in text
    assert "| keydiff | lukv | 1 | 50.0 (+12.5 [-3.0, +28.0]) | 50.0 (+2.5 [-1.0, +8.0]) |" in text
    assert "| keydiff | lukv | 9 | 40.0 [20.0, 60.0] |  |" in text
    assert "| keydiff | uniform | 1 | 10.0 [1.0, 30.0] |  |" in text
    assert "| keydiff | lukv | partial (3 of 12) |" in text
    assert "| keydiff | lukv | refuse | partial (2 of 3) |" in text
    assert "| keydiff | lukv | middle | 50.0 (+12.5 [-3.0, +28.0]) |" in text


def test_what_was_recorded_on_answers_is_shown_where_there_is_anything() -> None:
    assert "events" not in markdown([row()])
    text = markdown([row(events={"pyramid_flattened": 3, "truncated_middle": 12}), row(ratio=0.9)])
    assert "| pyramid_flattened (3 of 12), truncated_middle (12 of 12) |" in text


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        ({"data_revision": "abcdefabcdef"}, ("data", "01234567", "abcdefab")),
        ({"task_version": "2"}, ("task version", "1", "2")),
        ({"spec": SPEC | {"chat_form": "plain"}}, ("template", "chat-1", "plain")),
        ({"spec": SPEC | {"scorer": OURS | {"version": "0.2.0"}}}, ("plugins", "lukv-bench 0.1.0", "lukv-bench 0.2.0")),
    ],
    ids=["data", "task", "template", "plugin"],
)
def test_no_two_rows_look_alike(other: dict[str, Any], shown: tuple[str, ...]) -> None:
    rows = [row(score=10.0), row(score=90.0, **other)]
    for text in (markdown(rows), grid(rows)):
        assert all(word in text for word in shown)
        assert "10.0" in text
        assert "90.0" in text


def test_models_of_one_name_and_two_revisions_stand_apart() -> None:
    rows = [row(score=10.0), row(score=90.0, model_revision="s")]
    assert markdown(rows).count("| task |") == 2
    assert grid(rows).count("## niah_single_1") == 2


EVIDENCE = {"n_evidence": 12, "n_found": 7, "n_miscopied": 2, "n_missed": 3, "evidence_kept_share": 0.314}


def test_evidence_is_shown_and_explained_where_it_was_recorded() -> None:
    recorded = markdown([row(**EVIDENCE)])
    assert "| 7/2/3 | 31% |" in recorded
    assert "answers that were to be copied" in recorded
    assert "found/miscopied/missed" not in markdown([row()])
    half = markdown([row(**EVIDENCE), row(ratio=0.9, **EVIDENCE | {"n_found": 0, "n_miscopied": 0, "n_missed": 0})])
    assert "|  | 31% |" in half, "an answer that is not to be copied is none of the three"
