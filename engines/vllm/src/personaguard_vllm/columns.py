"""Which vector has which column of the matrix that the operator multiplies with.

Pure, and the same in every process: each sees the same requests come and go in the same order.
"""

from dataclasses import dataclass

from personaguard_vllm.plan import MAX_SLOTS

# Room for a set and the one before it: requests that run keep the set that they started with.
COLUMNS = 2 * MAX_SLOTS


class NoRoomError(Exception):
    """Running requests use too many vectors, or too many ask for states."""


@dataclass
class _Column:
    vector: str | None = None
    users: int = 0


class Columns:
    """The columns. One keeps its vector until another needs it."""

    def __init__(self) -> None:
        self._columns = [_Column() for _ in range(COLUMNS)]
        self._places: dict[str, int] = {}

    def find(self, vector: str) -> int | None:
        """The column of a vector."""
        return self._places.get(vector)

    def place(self, vector: str) -> int:
        """Gives a new vector a column that no running request uses.

        Raises:
            NoRoomError: there is none.
        """
        idle = [number for number, column in enumerate(self._columns) if column.users == 0]
        if not idle:
            raise NoRoomError(
                f"running requests use {COLUMNS} vectors, which is the limit; try again when some "
                "have ended"
            )
        number = min(idle, key=lambda number: self._columns[number].vector is not None)
        column = self._columns[number]
        if column.vector is not None:
            del self._places[column.vector]
        column.vector = vector
        self._places[vector] = number
        return number

    def hold(self, vector: str) -> None:
        """A running request uses it."""
        self._columns[self._places[vector]].users += 1

    def release(self, vector: str) -> None:
        """A request that used it has ended."""
        self._columns[self._places[vector]].users -= 1
