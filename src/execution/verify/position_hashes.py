"""The hash of every position, beside what its trades come to."""

from execution.verify.findings import Name
from execution.verify.positions import Holding, Stored, read_position
from execution.verify.reader import Content, WrongType
from execution.verify.state import State


def compare(state: State, user: str, symbol: str, content: Content) -> None:
    """Judges a position that was read after the trades so far, or lets it wait for the rest."""
    key = state.keys.position(user, symbol)
    holding = state.holdings.setdefault((user, symbol), Holding())
    if holding.seen:
        return  # a scan may name a key twice
    holding.seen = True
    if isinstance(content, WrongType):
        state.findings.add(Name.WRONG_TYPE, key, "a position is a hash")
        return
    stored = read_position(content)
    if isinstance(stored, str):
        state.findings.add(Name.CORRUPT_POSITION, key, stored)
    elif stored.version > holding.trades:
        holding.awaited = stored
    else:
        settle(state, user, symbol, holding, stored)


def settle(state: State, user: str, symbol: str, holding: Holding, stored: Stored) -> None:
    """Judges a position by the trades it counts; no more of them will come."""
    key = state.keys.position(user, symbol)
    if stored.version != holding.trades:
        state.findings.add(
            Name.POSITION_VERSION,
            key,
            f"its version is {stored.version}; {state.keys.trades} has {holding.trades} trades",
        )
    state.findings.extend(key, holding.problems_with(stored))
    holding.proven = stored.version == holding.trades


def conclude(state: State) -> None:
    """Judges what still waits, once every stream was read to an end after the hashes."""
    trimmed = state.trimmed(state.keys.trades)
    for (user, symbol), holding in state.holdings.items():
        if holding.awaited is not None and trimmed:
            state.counts.unproven += 1
            continue
        if holding.awaited is not None:
            settle(state, user, symbol, holding, holding.awaited)
        for at, (name, message) in holding.doubts:
            state.findings.add(name, at, f"{user} {symbol}: {message}")
        if holding.expected and not holding.seen:
            key = state.keys.position(user, symbol)
            state.findings.add(Name.POSITION_MISSING, key, f"it has {holding.trades} trades")
        state.counts.positions += holding.proven
