"""What a compiled kernel takes of a card, and whether that is allowed."""

from dataclasses import dataclass

from .targets import Target


@dataclass(frozen=True)
class Usage:
    """Resources of one program.

    Attributes:
        registers: Of one thread.
        spill_bytes: Stored to and loaded from local memory by one thread since its registers did not suffice; on AMD
            cards 4 bytes for each spilled vector register.
        shared_bytes: Shared memory of one program.
        scalar_spills: Scalar registers that AMD cards keep in lanes of a vector register: no memory is touched.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    scalar_spills: int = 0

    def faults(self, target: Target) -> list[str]:
        """Why this may not be shipped for a card, in words; empty where it may."""
        found = []
        if self.spill_bytes:
            found.append(f"spills {self.spill_bytes} bytes of registers")
        if self.shared_bytes > target.shared_bytes:
            found.append(f"needs {self.shared_bytes} bytes of shared memory where {target.shared_bytes} are allowed")
        return found
