"""A user's script is checked against the types of the package: `mypy --strict` sees them through `py.typed`."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """import lukv_bench as lb

cache = lb.load("smollm2-135m").evict("a text", allocator="lukv", scorer="keydiff", ratio=0.8)
reveal_type(cache.generate("a question about the text"))
reveal_type(cache.kv_bytes)
reveal_type(lb.run(allocator=["uniform", "adakv"], ratio=[0.5, 0.8], limit=2))
lb.load("smollm2-135m").evict(3)
lb.load("smollm2-135m").evict("a text", alocator="lukv")
"""


def mypy(script: Path) -> list[tuple[int, str, str]]:
    """(line, kind, text) of what mypy says of a script, by the package's settings: strict, and with its cache."""
    link = ROOT / ".typing" / "lukv_bench"
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        link.symlink_to("..")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(script)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    said = re.findall(r"script\.py:(\d+): (note|error): (.*)", printed)
    return [(int(line), kind, text) for line, kind, text in said]


def test_a_users_script_is_checked_strictly(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    said = mypy(script)
    types = [(line, text.split('"')[1].split(".")[-1]) for line, kind, text in said if text.startswith("Revealed")]
    assert types == [(4, "str"), (5, "int"), (6, "DataFrame")]
    assert [line for line, kind, _ in said if kind == "error"] == [7, 8], "the mistakes, and nothing else"
