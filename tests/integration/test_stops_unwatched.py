"""A replica that cannot hear of resting stops does not say that it serves."""

import asyncio

import pytest
from market import Market
from redis_server import RedisServer

from execution.server.app import App
from execution.server.config import ServeConfig


async def test_without_the_right_to_read_stops_it_is_not_ready(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.command("ACL", "SETUSER", "trader", "on", ">pw", "~*", "+@all", "-xread")
    market = Market()
    market.set_book([("100", "9")], [("100.5", "9")])
    async with market:
        app = App(
            ServeConfig(
                listen="127.0.0.1:0",
                metrics_listen="127.0.0.1:0",
                redis_url=redis_server.url.replace("redis://", "redis://trader:pw@"),
                symbol_service=market.address,
            )
        )
        try:
            await app.start()
            ready = asyncio.create_task(app.ready())
            async with asyncio.timeout(10):
                while "not serving: resting-stops" not in caplog.text:
                    await asyncio.sleep(0.01)
            assert "xread" in caplog.text.lower()
            assert not ready.done()
            redis_server.command("ACL", "SETUSER", "trader", "+xread")
            assert (await asyncio.wait_for(ready, 10)).symbols
            await app.drain(1)
        finally:
            await app.close()
            redis_server.command("ACL", "DELUSER", "trader")
