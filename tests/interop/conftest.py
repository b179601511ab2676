"""The servers, and what the client programs said of them."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict

import pytest
from interop import programs
from interop.programs import Outcome, locked
from interop.servers import Servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Of this pytest process."""
    with Servers(tmp_path_factory.mktemp("interop")) as running:
        yield running


@pytest.fixture
def address(servers: Servers, transport: str) -> str:
    """Of the server of the test's transport."""
    return servers.of(transport).address


@pytest.fixture(scope="session")
def outcome(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Outcome]:
    """What a client says of a transport; it runs once, also where pytest is many processes."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def outcome_of(client: str, transport: str) -> Outcome:
        file = folder / f"interop-{client}-{transport}.json"
        with locked(file.with_suffix(".lock")):
            if not file.exists():
                file.write_text(json.dumps(asdict(programs.run(client, servers.of(transport)))))
        return Outcome(**json.loads(file.read_text()))

    return outcome_of
