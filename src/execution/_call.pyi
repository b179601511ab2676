"""Types of a call of our HTTP/2 server; `python -m mypy.stubtest execution._call` proves them."""

from collections.abc import Callable
from typing import Final

import ngh2
from typing_extensions import disjoint_base

from execution.http2.wire import Deframer, Headers
from execution.server.observe import RpcMetrics
from execution.server.transports.http2.call import Call, Link
from execution.server.transports.http2.request import Read, Request

BEGIN: Final[Headers]
OK_TRAILERS: Final[Headers]

def know_ngh2(
    gone: type[Exception],
    data_received: type[object],
    request_received: type[object],
    stream_closed: type[object],
) -> None: ...
def same_headers(one: Headers, other: Headers, but: int = -1) -> bool: ...

@disjoint_base
class Counted:
    metrics: RpcMetrics | None
    since: float
    def count_in(self, metrics: RpcMetrics) -> None: ...
    def count_out(self, code: int) -> None: ...

@disjoint_base
class Exchange(Counted):
    request: Request
    deadline: float | None
    gone: Callable[[], object] | None
    stream_id: int
    over: bool
    half_closed: bool
    _link: Link
    _deframer: Deframer | None
    _begun: bool
    _held: int
    def open(
        self, link: Link, stream_id: int, request: Request, timeout_seconds: float | None
    ) -> None: ...
    def received(self, data: bytes, end_stream: bool) -> None: ...
    def _handle(self, message: bytes) -> None: ...
    def reply(self, message: bytes) -> None: ...

@disjoint_base
class Conversation:
    calls: dict[int, Call]
    unfinished: set[int]
    last_stream_id: int
    h2: ngh2.Connection
    _read: Read
    _read_headers: Headers
    _timeout: float | None
    _kind: type[Call] | None
    _unsent_max: int
    def act_on_events(self, link: Link) -> None: ...
