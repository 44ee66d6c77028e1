"""Ten thousand tasks, read by pages while others come and go: each is there once, the newest first."""

import asyncio
from pathlib import Path
from typing import Any

from synapse.a2a.feed import Feeds
from synapse.a2a.handlers import Call, Handlers
from synapse.a2a.reading import ListIn, read
from synapse.log.sqlite import SqliteLog
from synapse.testing import Bench

MANY = 10_000


async def test_ten_thousand_tasks_are_read_by_pages_while_others_come_and_go(tmp_path: Path) -> None:
    log = SqliteLog.open(tmp_path / "log.db")
    bench = await Bench(log, cache=tmp_path / "cache.db").open()
    try:
        ann, kim = bench.client("ann"), bench.person()
        await ann("agents.here")

        async def ask(verb: str, parameters: dict[str, Any]) -> bytes:
            return await kim.ask(verb, **parameters)

        call, handlers = Call(ask, "w/ann", "ann"), Handlers(Feeds(bench.core))
        sent: list[str] = []
        for start in range(0, MANY, 500):
            asked = [kim("tasks.submit", to="ann", text=f"{number}") for number in range(start, start + 500)]
            sent += [reply["task_id"] for reply in await asyncio.gather(*asked)]

        found: list[str] = []
        totals, token = set(), ""
        while True:
            wanted = {"pageSize": 100, "pageToken": token, "historyLength": 0}
            page = await handlers.list(call, read(ListIn, wanted))
            found += [task["id"] for task in page["tasks"]]
            totals.add(page["totalSize"])
            token = page["nextPageToken"]
            if not token:
                break
            if len(found) == 1000:
                await kim("tasks.submit", to="ann", text="later")  # before the first page now
                await kim("tasks.cancel", task=sent[3])  # moved there
        assert found == [id for id in reversed(sent) if id != sent[3]]
        assert totals == {MANY, MANY + 1}

        first = await handlers.list(call, read(ListIn, {"pageSize": 3}))
        assert first["tasks"][0]["id"] == sent[3]
        canceled = await handlers.list(call, read(ListIn, {"status": "TASK_STATE_CANCELED"}))
        assert ([task["id"] for task in canceled["tasks"]], canceled["totalSize"]) == ([sent[3]], 1)
    finally:
        await bench.close()
        log.close()
