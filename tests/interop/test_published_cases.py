"""Other people's clients agree with both transports on the published interop cases."""

from collections.abc import Callable
from typing import Final

import pytest
from interop.cases import CASES, NOT_FOR
from interop.programs import CLIENTS, Outcome
from interop.servers import TRANSPORTS

pytestmark = pytest.mark.timeout(400)  # the first time, clients are built

RUNS: Final = [
    pytest.param(client, case, transport, id=f"{client}-{case}-{transport}")
    for transport in TRANSPORTS
    for client in CLIENTS
    for case in CASES
    if transport.partition("_")[0] not in NOT_FOR.get((client, case), ())
]


@pytest.mark.parametrize(("client", "case", "transport"), RUNS)
def test_published_case(
    outcome: Callable[[str, str], Outcome], client: str, case: str, transport: str
) -> None:
    found = outcome(client, transport)
    assert case in found.errors, found.end
    assert found.errors[case] is None, found.errors[case]
