"""Recorded books played back: at their own pace, faster, slower, or looped."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from execution.embedded.market.feed import MarketBook
from execution.embedded.market.recording import Recording
from execution.model import SymbolSpec

_PASS_PAUSE_SECONDS_MIN: Final = 0.01
"""However short a recording is, its loop leaves the event loop alone for a while."""


class ReplayFeed:
    """Plays a recording: the feed's book is the row whose time has come.

    `speed` divides the pauses between rows: 1 is as recorded, 10 ten times as
    fast, infinity as fast as the machine can (each row is still served). A late
    row does not delay the ones after it. In the first pass `sequence` is that
    of the recording (`Recording.sequenced`); a loop counts on from there by
    one a row, so that the sequence always grows. `source_time_ns` is the row's
    `ts_ns`, in every pass.
    """

    def __init__(self, recording: Recording, speed: float = 1.0, loop: bool = False) -> None:
        if not speed > 0:
            raise ValueError(f"speed is {speed}; it is above zero")
        self._recording = recording
        self._speed = speed
        self._loop = loop
        self._book = next(recording.books())[1]

    @property
    def spec(self) -> SymbolSpec:
        """The symbol and its scales; a recording knows no filters."""
        return self._recording.spec

    @property
    def book(self) -> MarketBook:
        """The newest book; before the play begins, the first."""
        return self._book

    async def play(self, publish: Callable[[], None]) -> None:
        """Plays the recording once, or for ever; then the last book stays.

        Raises `BadRecording` if the file was changed since it was opened.
        """
        await self._play_pass(publish, sequence_after=None)
        while self._loop:
            # As long as between two rows: the last book gets its time, too.
            await asyncio.sleep(max(self._mean_gap_seconds(), _PASS_PAUSE_SECONDS_MIN))
            await self._play_pass(publish, sequence_after=self._book.sequence)

    async def _play_pass(self, publish: Callable[[], None], sequence_after: int | None) -> None:
        """One pass; rows are counted on from `sequence_after` unless it is None."""
        now = asyncio.get_running_loop().time
        began = now()
        first_ts_ns = self._recording.first_ts_ns
        row_sequence: int | None = None
        sequence = sequence_after
        for ts_ns, book in self._recording.books(self._book.last_price):
            if sequence is not None and book.sequence != row_sequence:
                sequence += 1
            row_sequence = book.sequence
            due = began + (ts_ns - first_ts_ns) / 1e9 / self._speed
            # Also when late: whoever asks for a book gets a turn between rows.
            await asyncio.sleep(max(due - now(), 0))
            self._book = book if sequence is None else replace(book, sequence=sequence)
            publish()

    def _mean_gap_seconds(self) -> float:
        if math.isinf(self._speed):
            return 0.0
        span_ns = self._recording.last_ts_ns - self._recording.first_ts_ns
        return max(span_ns, 0) / 1e9 / self._speed / self._recording.rows
