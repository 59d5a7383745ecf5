"""What is free on the CPU: of the machine, and within each limit of a container or a job."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lukv_bench.bench.models import memory
from lukv_bench.bench.models.memory import free_memory, measured_memory

CPU, GIB = torch.device("cpu"), 2**30
Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file of a system that has 8 GiB available and no control groups."""
    for name, place in (("OWN_GROUPS", "own"), ("GROUPS", "groups"), ("MACHINE", "meminfo")):
        monkeypatch.setattr(memory, name, tmp_path / place)

    def write(place: str, text: str) -> None:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)

    write("meminfo", f"MemTotal: 1 kB\nMemAvailable: {8 * 2**20} kB\n")
    return write


def group(write: Write, folder: str, limit: int | str, used: int, cached: int, mapped: int) -> None:
    write(f"groups/{folder}/memory.max", f"{limit}\n")
    write(f"groups/{folder}/memory.current", f"{used}\n")
    write(f"groups/{folder}/memory.stat", f"anon 1\nactive_file {cached}\ninactive_file 0\nfile_mapped {mapped}\n")


def test_without_a_limit_the_machines_memory_is_free(write: Write) -> None:
    assert free_memory(CPU) == 8 * GIB
    write("own", "0::/job\n")
    group(write, "job", "max", 3 * GIB, 0, 0)
    assert free_memory(CPU) == 8 * GIB
    write("meminfo", f"MemAvailable: {8 * 2**20} kB\nSwapFree: {2**20} kB\nHugePages_Total: 0\n")
    assert (free_memory(CPU), measured_memory(CPU, swap=True)) == (8 * GIB, 9 * GIB)


def test_the_tightest_group_above_a_process_counts(write: Write) -> None:
    write("own", "1:cpu:/elsewhere\n0::/job/step\n")
    group(write, "job", 5 * GIB, 2 * GIB, 0, 0)
    group(write, "job/step", 6 * GIB, 1 * GIB, 0, 0)
    assert free_memory(CPU) == 3 * GIB
    group(write, "job", 1 * GIB, 2 * GIB, 0, 0)
    assert free_memory(CPU) == 0


def test_files_that_were_read_are_free_memory_and_mapped_weights_are_not(write: Write) -> None:
    write("own", "0::/\n")
    group(write, "", 6 * GIB, 6 * GIB, 4 * GIB, 1 * GIB)
    assert free_memory(CPU) == 3 * GIB


def test_the_first_version_of_control_groups_limits_too(write: Write) -> None:
    write("own", "4:memory:/out/of/sight\n0::/\n")
    for name, value in (("limit_in_bytes", 4 * GIB), ("usage_in_bytes", 3 * GIB)):
        write(f"groups/memory/memory.{name}", str(value))
    write("groups/memory/memory.stat", f"total_active_file {2 * GIB}\ntotal_inactive_file 0\ntotal_mapped_file 0\n")
    assert free_memory(CPU) == 3 * GIB


def test_nothing_is_claimed_where_the_system_does_not_say(write: Write) -> None:
    write("meminfo", "MemTotal: 1 kB\n")
    assert measured_memory(CPU) is None
    assert measured_memory(torch.device("mps")) is None
    assert free_memory(CPU) > 0
