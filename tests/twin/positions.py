"""`execution._order.PositionKnowledge` in plain Python; `adapters.positions` says what for."""

from collections import OrderedDict
from itertools import count
from typing import Final

from execution.model import Position

UNCHAINED: Final = 0
"""The epoch of a commit that rests on something else than the present belief."""


class PositionKnowledge:
    """The latest known or predicted positions; the least recently used go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._beliefs: OrderedDict[tuple[str, str], tuple[Position, int]] = OrderedDict()
        # Never reused, so that a belief forgotten and learnt anew is not the old one.
        self._epochs = count(UNCHAINED + 1)

    def recall(self, user_id: str, symbol: str) -> Position:
        """The present belief; flat at version 0 if there is none."""
        key = (user_id, symbol)
        belief = self._beliefs.get(key)
        if belief is None:
            return Position(user_id, symbol)
        self._beliefs.move_to_end(key)
        return belief[0]

    def chain(self, basis: Position, outcome: Position | None) -> int:
        """Believes that what was computed from `basis` comes true.

        Returns the epoch to hand to `correct` with the answer. A commit that
        does not rest on the present belief changes nothing and corrects nothing.
        """
        key = (basis.user_id, basis.symbol)
        belief = self._beliefs.get(key)
        if belief is None:
            epoch = next(self._epochs)
        elif belief[0] is basis or belief[0] == basis:
            epoch = belief[1]
        else:
            return UNCHAINED
        believed = basis if outcome is None else outcome
        if belief is None:
            self._believe(key, believed, epoch)
        else:
            # `recall` has just made it the latest used.
            self._beliefs[key] = (believed, epoch)
        return epoch

    def correct(self, position: Position, epoch: int) -> None:
        """An answer to a commit of `epoch` shows the position to be this.

        Heard only while the epoch lasts; begins a new one.
        """
        key = (position.user_id, position.symbol)
        belief = self._beliefs.get(key)
        if epoch == UNCHAINED or belief is None or belief[1] != epoch:
            return
        self._believe(key, position, next(self._epochs))

    def _believe(self, key: tuple[str, str], position: Position, epoch: int) -> None:
        self._beliefs[key] = (position, epoch)
        self._beliefs.move_to_end(key)
        if len(self._beliefs) > self._limit:
            self._beliefs.popitem(last=False)
