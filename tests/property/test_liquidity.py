"""The account of taken liquidity under random orders, failures and snapshots."""

from dataclasses import replace

from builders import SPEC, order, position, scaled_snapshot
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from execution.decimals import to_text
from execution.engine import execute
from execution.model import Direction, Quote, Snapshot
from execution.pricing import Liquidity
from execution.settlement import FeeRate

Taken = tuple[int, Quote, tuple[int, ...]]
"""The number of the snapshot an order met, its quote, and what it took."""

SIZES = st.lists(st.integers(0, 5), max_size=4)
SEQUENCES = st.integers(1, 6)


class OrdersOnSnapshots(RuleBasedStateMachine):
    """Orders take, some give back, the source moves on, repeats itself, or restarts."""

    kept = Bundle("kept")

    @initialize(bids=SIZES, asks=SIZES, sequence=SEQUENCES)
    def begin(self, bids: list[int], asks: list[int], sequence: int) -> None:
        self.liquidity = Liquidity()
        self.number = 0
        self.show(bids, asks, sequence)

    def show(self, bids: list[int], asks: list[int], sequence: int) -> None:
        self.number += 1
        self.shown = scaled_snapshot(
            [(100 - level, size) for level, size in enumerate(bids)],
            [(101 + level, size) for level, size in enumerate(asks)],
            sequence=sequence,
        )
        self.taken = {side: [0] * len(self.sizes(side)) for side in Direction}

    def sizes(self, direction: Direction) -> list[int]:
        shown = self.shown
        side = shown.ask_quantities if direction is Direction.BUY else shown.bid_quantities
        return list(side.tolist())

    def quote(self, direction: Direction, snapshot: Snapshot | None = None) -> Quote:
        market = self.liquidity.quote(snapshot or self.shown, direction)
        assert isinstance(market, Quote)
        return market

    @rule(target=kept, direction=st.sampled_from(Direction), quantity=st.integers(1, 12))
    def an_order_takes_what_is_left(self, direction: Direction, quantity: int) -> Taken:
        quote = self.quote(direction)
        asked = order(direction, to_text(quantity, SPEC.quantity_decimals))
        ran = execute(asked, quote, position(), FeeRate(), now_ns=0)
        self.liquidity.take(quote, ran.taken)
        for level, took in enumerate(ran.taken):
            self.taken[direction][level] += took
        return self.number, quote, ran.taken

    @rule(given=consumes(kept))
    def what_a_commit_did_not_keep_is_given_back(self, given: Taken) -> None:
        number, quote, taken = given
        self.liquidity.give_back(quote, taken)
        if number != self.number:
            return  # an older book: the account of the present one must not notice
        direction = next(side for side in Direction if self.quote(side) is quote)
        for level, took in enumerate(taken):
            self.taken[direction][level] -= took

    @rule()
    def the_same_snapshot_is_fetched_again(self) -> None:
        if self.shown.sequence:
            self.shown = replace(self.shown, bid_quantities=self.shown.bid_quantities.copy())

    @rule(bids=SIZES, asks=SIZES, sequence=SEQUENCES)
    def a_snapshot_of_another_sequence_restores(
        self, bids: list[int], asks: list[int], sequence: int
    ) -> None:
        if sequence != self.shown.sequence:
            self.show(bids, asks, sequence)

    @rule()
    def a_fetch_from_a_source_without_sequences_restores(self) -> None:
        self.show(self.sizes(Direction.SELL), self.sizes(Direction.BUY), sequence=0)

    @invariant()
    def what_is_left_is_what_is_shown_less_what_was_kept(self) -> None:
        for direction in Direction:
            shown, taken = self.sizes(direction), self.taken[direction]
            left = [size - took for size, took in zip(shown, taken, strict=True)]
            assert self.quote(direction).available.tolist() == left
            assert all(amount >= 0 for amount in left), "more was taken than is shown"


TestOrdersOnSnapshots = OrdersOnSnapshots.TestCase
TestOrdersOnSnapshots.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
