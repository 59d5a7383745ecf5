"""Values that are made one by one, when they are needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Lazy(Generic[T]):
    """So many values, each made anew whenever it is read; none is kept.

    Attributes:
        n: How many.
        make: Gives the value at an index from 0 to n - 1. It depends on no other value.
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
