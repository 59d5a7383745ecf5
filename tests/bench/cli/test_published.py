"""What a run stores can be published: no column of any table names a folder of the machine that wrote it."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SECRET = "private folder"
PLUGIN = '''
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lukv_bench.scorers.base import Protection, Reads


@dataclass(frozen=True)
class Weighted:
    """Reads weights from a file that lies in {home}/somewhere."""

    weights: Path = Path({folder!r}) / "default.bin"

    source: ClassVar[str] = "{home}/paper.pdf"
    reads: ClassVar[Reads] = Reads()
    protection: ClassVar[Protection] = Protection(sink=2, window=2)

    def score(self, layer):
        return layer.keys.float().norm(dim=-1) + len(self.weights.read_bytes())
'''


@pytest.fixture
def private(home: Path, tiny: Path, profile: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a model, data, a profile and a plugin's weights, none of whose places may be told."""
    folder = home / SECRET
    shutil.copytree(tiny, folder / "model")
    shutil.copy(profile, folder / "mine.safetensors")
    (folder / "weights.bin").write_bytes(b"123")
    row = {"_id": "a", "answers": ["x"], "length": 9, "dataset": "hotpotqa", "language": "en", "all_classes": None}
    (folder / "data").mkdir()
    text = "The lamp of house nine is blue and its cat is called Ottilie. " * 20
    (folder / "data" / "hotpotqa.jsonl").write_text(json.dumps(row | {"input": "Which?", "context": text}) + "\n")
    site = home / "site"
    info = site / "weighted-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "weighted.py").write_text(PLUGIN.format(folder=str(folder), home=home))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weighted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lukv_bench.scorers]\nweighted = weighted:Weighted\n")
    monkeypatch.syspath_prepend(str(site))
    yield folder
    sys.modules.pop("weighted", None)


def stored(db: Path) -> dict[str, list[Any]]:
    """Every value of every column, by "table.column"."""
    values: dict[str, list[Any]] = {}
    with sqlite3.connect(db) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    values.setdefault(f"{table}.{name}", []).append(value)
    return values


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_no_local_folder_is_in_any_column_of_any_table(
    private: Path, home: Path, lukv_bench: Any, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    where = Path("..") / SECRET if relative else private
    monkeypatch.setattr(sys, "argv", [str(home / "bin" / "lukv-bench")])
    db = where / "out.db"
    command = ("run", "--model", where / "model", "--ratio", "0.5", "--limit", "1", f"--db={db}")
    methods = (
        *("--allocator", f"lukv:profile={where / 'mine.safetensors'}"),
        *("--allocator", f"shuffled:of=(lukv:profile={where / 'mine.safetensors'})"),
        *("--scorer", "keydiff"),
    )
    data = ("--tasks", "longbench_hotpotqa", "--data-dir", where / "data")
    assert lukv_bench(*command, *methods, *data).code == 0
    weights = ("--allocator", "uniform", "--scorer", f"weighted:weights={where / 'weights.bin'}")
    assert lukv_bench(*command, *weights, *data).code == 0
    lost = ("--allocator", "uniform", "--scorer", f"weighted:weights={where / 'lost.bin'}")
    failing = lukv_bench(*command, *lost, *data)
    assert failing.code == 1
    export = where / "samples"
    exporting = ("--tasks", "niah_single_1", "--length", "400")
    exported = lukv_bench("tasks", "export", "--model", where / "model", *exporting, "--limit", "1", "--out", export)
    assert exported.code == 0
    assert lukv_bench(*command, "--allocator", "uniform", *exporting, "--samples", export).code == 0

    values = stored(private / "out.db")
    told = [(column, value) for column, found in values.items() for value in found if isinstance(value, str)]
    for secret in (SECRET, str(home), home.name, str(Path.home())):
        assert [(column, value) for column, value in told if secret in value] == []
    assert "lukv:profile=mine.safetensors x keydiff @ 0.5" in values["configuration.label"], "a file keeps its name"
    assert any("lost.bin" in (error or "") for error in values["answer.error"]), "and a reason its file"
    commands = [json.loads(command) for command in values["run.command"]]
    assert all(command[:4] == ["lukv-bench", "run", "--model", "model"] for command in commands)
    assert all("--db=out.db" in command for command in commands)
    assert set(values["model.name"]) == {"model"}
