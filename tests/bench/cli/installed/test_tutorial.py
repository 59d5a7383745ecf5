"""docs/plugins.md is run as it stands."""

import re
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "plugins.md"
BLOCK = re.compile(r"^```(toml|python|bash)\n(.*?)^```$", re.M | re.S)


def test_the_tutorial_s_files_and_commands_work(site: Any, home: Path) -> None:
    blocks = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks] == ["toml", "python", "bash"]
    for kind, text in blocks[:2]:
        place = Path(re.findall(r"\A# (\S+)\n", text)[0])
        assert not place.is_absolute()
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
        assert place.suffix == {"toml": ".toml", "python": ".py"}[kind]
    outputs = []
    for command in blocks[2][1].strip().splitlines():
        ended = site.call("bash", "-c", command)
        assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
        outputs.append(ended.stdout)
    assert "staircase" in outputs[1]
    assert "Gives deep layers less than early ones, in equal steps." in outputs[1]
    assert "my-methods 0.1" in outputs[1]
    kept = dict(re.findall(r"(uniform|staircase:steepness=0\.3) +lastword .* ([\d.]+) of [\d.]+ ", outputs[2]))
    assert set(kept) == {"uniform", "staircase:steepness=0.3"}, outputs[2]
    assert len(set(kept.values())) == 1, "budgets are exact"
    site.pip("uninstall", "--quiet", "--yes", "my-methods")


def test_the_tutorial_s_allocator_is_exact_at_any_steepness(site: Any) -> None:
    """The code block's own arithmetic, over odd sizes."""
    source = next(text for kind, text in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")) if kind == "python")
    Path("my_methods.py").write_text(source, encoding="utf-8")
    check = """
import torch
from lukv_bench.allocators.base import AllocationRequest, check_counts
from my_methods import Staircase
for steepness in (0.0, 0.3, 1.0):
    for n_tokens, per_head in ((7, 5), (101, 17), (64, 64), (40, 39)):
        protected = torch.zeros(n_tokens, dtype=torch.bool)
        protected[[0, 1, -1]] = True
        request = AllocationRequest(tuple(range(5)), 5, 2, 3, n_tokens, 15 * per_head, protected)
        check_counts(Staircase(steepness).allocate(request), request)
"""
    ended = site.call(site.folder / "bin" / "python", "-c", check)
    assert ended.returncode == 0, ended.stderr
