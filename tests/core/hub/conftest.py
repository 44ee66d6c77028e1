"""Hubs for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.core.hub.kit import Bench, HeldLog


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = await Bench().open()
    yield bench
    await bench.close()


@pytest.fixture
async def held() -> AsyncIterator[Bench]:
    """A hub whose commits the test can hold."""
    bench = await Bench(HeldLog()).open()
    yield bench
    assert isinstance(bench.log, HeldLog)
    bench.log.let_go()
    await bench.close()
