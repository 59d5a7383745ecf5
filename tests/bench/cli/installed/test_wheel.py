"""The wheel that `pip wheel` builds holds what the program needs, and nothing of the tests."""

import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
FOLDERS = ("allocators", "bench", "db", "kernels", "leaderboard", "scorers", "tasks")


def test_a_wheel_holds_the_code_its_data_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        (about,) = (name for name in held if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(about).decode())
        licence = archive.read(about.replace("METADATA", "licenses/LICENSE"))
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    needed = {
        f"lukv_bench/{path.relative_to(ROOT)}" for path in files if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {name for name in held if ".dist-info/" not in name} == needed | {
        "lukv_bench/__init__.py",
        "lukv_bench/py.typed",
    }
    assert metadata["License-Expression"] == "Apache-2.0"
    assert licence == (ROOT / "LICENSE").read_bytes()
