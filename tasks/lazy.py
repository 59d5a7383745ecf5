"""A sequence whose values are made on demand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Lazy(Generic[T]):
    """A sequence whose values are made whenever they are read and are not kept.

    Attributes:
        n: The number of values.
        make: Makes the value at an index from 0 to n - 1, independent of other values.
    """

    n: int
    make: Callable[[int], T]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> T:
        """The value at an index; IndexError outside 0 to n - 1."""
        if not 0 <= index < self.n:
            raise IndexError(index)
        return self.make(index)

    def __iter__(self) -> Iterator[T]:
        return map(self.make, range(self.n))
