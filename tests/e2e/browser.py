"""A real Chromium that opens a page, and the stranger's servers that serve it."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-popup-blocking",
)  # fmt: skip


def needs_chromium() -> None:
    if not Path(CHROMIUM).exists():
        pytest.skip("not run: chromium is absent")


@asynccontextmanager
async def chromium(address: str, *options: str) -> AsyncIterator[None]:
    """A browser with nothing in it, on that page."""
    profile = tempfile.mkdtemp(prefix="syn-chromium-")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", *options, address,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True, env={**os.environ, "HOME": profile},
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


class Stranger:
    """A web server that is not the hub: it serves one page, and hears at `TOLD` what the page has found."""

    def __init__(self, page: str) -> None:
        self._page = page
        self.told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.port = 0

    async def __aenter__(self) -> "Stranger":
        app = web.Application()
        app.router.add_get("/", self._serve)
        app.router.add_post("/told", self._hear)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        page = self._page.replace("TOLD", f"http://127.0.0.1:{self.port}/told")
        return web.Response(text=page, content_type="text/html")

    async def _hear(self, request: web.Request) -> web.Response:
        if not self.told.done():
            self.told.set_result(json.loads(await request.text()))
        return web.Response(text="heard")


class Rebound:
    """An address that is the stranger's for the first page, and then leads to the hub, byte for byte."""

    def __init__(self, stranger: int, hub: int) -> None:
        self._stranger = stranger
        self._hub = hub
        self.passed = 0  # connections that went to the hub
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Rebound":
        self._server = await asyncio.start_server(self._pass, "127.0.0.2", self._hub)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            first = await reader.read(65536)
            own = first.startswith(b"GET / ")
            self.passed += not own
            port = self._stranger if own else self._hub
            if own:  # so that the next request comes on a connection of its own
                first = first.replace(b"Connection: keep-alive", b"Connection: close")
            far_reader, far = await asyncio.open_connection("127.0.0.1", port)
            far.write(first)
            await asyncio.gather(_pump(reader, far), _pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    finally:
        writer.close()
