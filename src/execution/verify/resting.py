"""The index of resting stops, beside the orders that rest.

A stop that is missing in it is found by no replica that starts: it would never
trigger. Both are written in one script, so they are read at one moment.
"""

from itertools import islice

from redis.exceptions import ResponseError

from execution.verify.contract import RESTING
from execution.verify.findings import Name
from execution.verify.reader import WrongType
from execution.verify.state import State


def check_resting(state: State) -> None:
    """Judges every order that rests as far as the updates tell, and every stop in the index."""
    resting = (order_id for order_id, trail in state.trails.items() if trail.status in RESTING)
    while page := list(islice(resting, state.options.page)):
        _compare(state, page)
    try:
        for page in state.reader.members(state.keys.resting):
            _compare(state, [it for it in page if not _known_to_rest(state, it)])
    except ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise
        state.findings.add(Name.WRONG_TYPE, state.keys.resting, "it is a hash")


def _known_to_rest(state: State, order_id: str) -> bool:
    trail = state.trails.get(order_id)
    return trail is not None and trail.status in RESTING


def _compare(state: State, order_ids: list[str]) -> None:
    keys = state.keys
    pairs = [(keys.order(order_id), keys.resting, order_id) for order_id in order_ids]
    found = state.reader.pairs(pairs, ["status", "resting"])
    for order_id, (order, indexed) in zip(order_ids, found, strict=True):
        if isinstance(order, WrongType) or isinstance(indexed, WrongType):
            continue  # found by its key
        status, resting = order
        if status in RESTING and (not resting or indexed != resting):
            has = "another state of it" if indexed else "nothing of it"
            message = f"it is {status}; {keys.resting} has {has}"
            state.findings.add(Name.STOP_LOST, keys.order(order_id), message)
        elif status not in RESTING and indexed is not None:
            state_of_it = f"is {status}" if status else "has no record"
            message = f"{order_id} is there; its order {state_of_it}"
            state.findings.add(Name.STOP_EXTRA, keys.resting, message)
