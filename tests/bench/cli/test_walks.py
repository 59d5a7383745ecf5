"""The documents that lead a newcomer run as they stand."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

HOWTO = Path(__file__).parents[3] / "docs" / "howto"


def commands(document: str) -> list[list[str]]:
    """The commands of a document's bash blocks, the program's name left out."""
    blocks = re.findall(
        r"^```bash\n(.*?)^```", (HOWTO / document).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    words = [shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    assert words
    assert all(line[0] == "lukv-bench" for line in words)
    return [line[1:] for line in words]


def test_an_engineer_goes_from_a_model_folder_to_a_table(lukv_bench: Any, tiny: Path, home: Path) -> None:
    shutil.copytree(tiny, home / "work" / "model")
    shown = {}
    for command in commands("local-model.md"):
        ended = lukv_bench(*command)
        assert ended.code == 0, (command, ended.err[-1000:])
        shown[command[0]] = ended.out
    assert shown.keys() == {"estimate", "run", "results", "doctor"}
    assert "batch" in shown["estimate"]
    assert all(name in shown["results"] for name in ("full", "uniform", "lukv"))
