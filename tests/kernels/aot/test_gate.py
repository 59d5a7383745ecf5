"""What the gate says of kernels that may be shipped and of planted ones that may not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lukv_bench.kernels.aot.discovery import CasesError, cases_of, shipped_modules
from lukv_bench.kernels.aot.targets import TARGETS
from lukv_bench.kernels.aot.usage import Usage

COMPILES = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}


def gate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own that finds the modules of this folder."""
    command = [sys.executable, "-P", "-m", "lukv_bench.kernels.aot", *arguments]
    environment = COMPILES | {"PYTHONPATH": str(Path(__file__).parent)} | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_planted_spill_is_named_and_ends_the_command_with_1() -> None:
    done = gate("spilling_kernels", "oversized_kernels", "--targets", "sm_80", "--processes", "1")
    assert done.returncode == 1
    assert re.search(r"^too-many-shares for sm_80: spills \d+ bytes of registers$", done.stderr, re.MULTILINE)
    assert re.search(r"^deep-product for sm_80: needs \d+ bytes of shared memory where 166912", done.stderr, re.M)
    assert re.search(r"^unknown-name for sm_80: does not compile: .*no_such_name", done.stderr, re.M | re.DOTALL)
    assert "few-shares for sm_80: " not in done.stderr.replace("too-many-shares", "")
    assert done.stdout.splitlines()[-1] == "4 cases, 3 that may not be shipped"


def test_a_spill_on_an_amd_card_is_named() -> None:
    done = gate("spilling_kernels", "--targets", "gfx942", "--processes", "1")
    assert done.returncode == 1
    assert re.search(r"^too-many-shares for gfx942: spills \d+ bytes of registers$", done.stderr, re.MULTILINE)
    assert re.search(r"^few-shares +gfx942 +\d+ +0 +\d+ +0$", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == "2 cases, 1 that may not be shipped"


def test_the_largest_case_of_every_shipped_kernel_compiles_for_one_card() -> None:
    """`make aot` compiles all for all, in minutes."""
    done = gate("--quick", "--processes", "1")
    assert done.returncode == 0, done.stderr
    kernels = [{case.kernel.__name__ for case in cases_of(module).values()} for module in shipped_modules()]
    assert len(done.stdout.splitlines()) == sum(map(len, kernels)) + 2


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["spilling_kernels"], {"TRITON_INTERPRET": "1"}, "unset TRITON_INTERPRET"),
        (["--targets", "sm_10"], {}, "invalid choice: 'sm_10'"),
        (["--processes", "0"], {}, "--processes 0: at least 1"),
        (["re"], {}, "re has no function cases()"),
        (["no_such_module"], {}, "No module named 'no_such_module'"),
    ],
)
def test_a_wrong_question_is_answered_with_a_sentence(
    arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    done = gate(*arguments, **environment)
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1]


def test_no_kernels_and_kernels_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    case = "from lukv_bench.kernels.aot_case import Case\nCASE = Case('one', None, {}, {})\n"
    (tmp_path / "aot_none.py").write_text("def cases():\n    return iter(())\n")
    (tmp_path / "aot_twice.py").write_text(f"{case}def cases():\n    return [CASE, CASE]\n")
    with pytest.raises(CasesError, match="lists no kernel"):
        cases_of("aot_none")
    with pytest.raises(CasesError, match="two cases of one name"):
        cases_of("aot_twice")


def test_a_program_may_use_all_shared_memory_and_no_more() -> None:
    card = TARGETS["gfx942"]
    assert not Usage(8, 0, card.shared_bytes).faults(card)
    assert Usage(8, 0, card.shared_bytes + 1).faults(card)
