"""The memory that is free on a device."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

OWN_GROUPS, GROUPS, MACHINE = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"), Path("/proc/meminfo")

FILES = {
    "": ("memory.max", "memory.current", ("active_file", "inactive_file", "file_mapped")),
    "memory": (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_active_file", "total_inactive_file", "total_mapped_file"),
    ),
}
"""By the name of a hierarchy of control groups, "" for version 2: the files of a group's limit and use, and the entries
of its memory.stat for cached pages of files, in two parts, and for those of them that are mapped."""


def free_memory(device: "torch.device") -> int:
    """Bytes that can be allocated on a device; half of the machine's memory where the system does not say."""
    measured = measured_memory(device)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if measured is None else measured


def measured_memory(device: "torch.device", *, swap: bool = False) -> int | None:
    """Bytes that can be allocated on a device, on the CPU within the limits of a container or a job, too; None where
    the system does not say.

    Args:
        device: Where.
        swap: Whether free swap space of the machine counts as memory.
    """
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu" or (available := _available(swap)) is None:
        return None
    return min([available, *_left_in_groups()])


def _available(swap: bool) -> int | None:
    """Bytes of the machine's memory that programs can get; None where the system does not say."""
    try:
        kib = {line.split()[0]: int(line.split()[1]) for line in MACHINE.read_text().splitlines()}
    except OSError:
        return None
    if "MemAvailable:" not in kib:
        return None
    return 1024 * (kib["MemAvailable:"] + (kib.get("SwapFree:", 0) if swap else 0))


def _left_in_groups() -> Iterator[int]:
    """What is left in each control group of this process that has a limit. Cached pages of files count as free, since
    the system gives them up, but for mapped ones: a loaded model's weights may be such."""
    try:
        entries = [line.split(":", 2) for line in OWN_GROUPS.read_text().splitlines()]
    except OSError:  # not Linux
        return
    for _, hierarchy, path in entries:
        if hierarchy in FILES:
            top = GROUPS / hierarchy
            own = top / path.lstrip("/")
            yield from (left for group in (own, *own.parents) if group.is_relative_to(top) for left in _left(group))


def _left(group: Path) -> Iterator[int]:
    """What is left in a group; nothing where it has no limit, or is out of a container's sight."""
    limit_file, used_file, entries = FILES["memory" if (group / FILES["memory"][0]).is_file() else ""]
    try:
        limit, used = ((group / name).read_text().strip() for name in (limit_file, used_file))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return
    active, inactive, mapped = (int(stat.get(name, 0)) for name in entries)
    if limit != "max":
        yield max(int(limit) - int(used) + max(active + inactive - mapped, 0), 0)
