"""What every test of whole processes leaves behind: nothing, whatever became of it."""

from collections.abc import AsyncIterator

import processes
import pytest


@pytest.fixture(autouse=True)
async def no_process_is_left() -> AsyncIterator[None]:
    """Ends what a test that failed could not end itself."""
    yield
    await processes.kill_all()
