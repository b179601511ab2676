"""What this process believes each position to be, ahead of Redis' answers.

Orders on one position are chained: each rests on the prediction of the one
before, so that they can all be on their way at once. When an answer shows that
a prediction never came true, everything chained on it fails as well, and each
of those answers tells the same news, by then outdated. So every belief has an
epoch, a correction begins a new one, and an answer corrects only the epoch it
was sent under: the first is heard, its echoes are not, and a chain of any
length recovers in one round.
"""

from typing import Final

from execution._order import PositionKnowledge

__all__ = ["UNCHAINED", "PositionKnowledge"]

UNCHAINED: Final = 0
"""The epoch of a commit that rests on something else than the present belief."""
