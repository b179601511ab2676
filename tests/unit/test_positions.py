"""What is believed of a position: predictions, corrections, and echoes of old news."""

from builders import position

from execution.adapters.positions import UNCHAINED, PositionKnowledge
from execution.model import Position

FLAT = position()
ONE = position(1, 1, version=1)
TWO = position(2, 2, version=2)
THREE = position(3, 3, version=3)
REAL = position(50, 50, version=9)


def knowledge(limit: int = 100) -> PositionKnowledge:
    return PositionKnowledge(limit)


def recall(known: PositionKnowledge) -> Position:
    return known.recall("ann", "BTC-USDT")


def test_a_position_never_seen_is_flat() -> None:
    assert recall(knowledge()) == FLAT


def test_orders_chain_on_the_predictions_of_those_before() -> None:
    known = knowledge()
    epochs = {known.chain(FLAT, ONE), known.chain(ONE, TWO)}
    assert len(epochs) == 1
    assert recall(known) is TWO


def test_a_correction_is_heard_once_and_its_echoes_are_not() -> None:
    known = knowledge()
    first, second = known.chain(FLAT, ONE), known.chain(ONE, TWO)
    known.correct(REAL, first)
    after = position(51, 51, version=10)
    third = known.chain(REAL, after)
    known.correct(REAL, second)
    assert recall(known) is after
    known.correct(THREE, third)
    assert recall(known) is THREE


def test_an_order_that_changes_nothing_can_still_bring_a_correction() -> None:
    known = knowledge()
    epoch = known.chain(FLAT, None)
    assert recall(known) == FLAT
    known.correct(REAL, epoch)
    assert recall(known) is REAL


def test_an_order_on_another_basis_neither_predicts_nor_corrects() -> None:
    known = knowledge()
    known.chain(FLAT, ONE)
    epoch = known.chain(REAL, THREE)
    assert epoch == UNCHAINED
    known.correct(THREE, epoch)
    assert recall(known) is ONE


def test_an_equal_basis_is_as_good_as_the_same() -> None:
    known = knowledge()
    known.chain(FLAT, ONE)
    assert known.chain(position(1, 1, version=1), TWO) != UNCHAINED
    assert recall(known) is TWO


def test_what_is_least_recently_used_is_forgotten_first() -> None:
    known = knowledge(limit=2)
    positions = {user: Position(user, "S", version=1) for user in ("a", "b", "c")}
    epochs = {user: known.chain(Position(user, "S"), positions[user]) for user in ("a", "b")}
    known.recall("a", "S")
    known.chain(Position("c", "S"), positions["c"])
    assert known.recall("b", "S") == Position("b", "S")
    assert known.recall("a", "S") is positions["a"]
    known.correct(Position("b", "S", version=7), epochs["b"])
    assert known.recall("b", "S") == Position("b", "S")


def test_a_belief_learnt_anew_is_not_corrected_by_news_of_the_old_one() -> None:
    known = knowledge(limit=1)
    old = known.chain(FLAT, ONE)
    known.chain(Position("bob", "S"), Position("bob", "S", version=1))
    assert known.chain(FLAT, ONE) != old
    known.correct(REAL, old)
    assert recall(known) is ONE
