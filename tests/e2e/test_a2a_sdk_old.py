"""The official SDK's client of A2A 0.3: what was written for the version before works with every agent as it is."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver
from a2a.compat.v0_3 import types as old
from a2a.compat.v0_3.jsonrpc_transport import CompatJsonRpcTransport
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.core.a2a import schema
from tests.e2e import a2a_kit as kit
from tests.e2e.a2a_kit import Manner, Strict, Talk, Wish, words
from tests.e2e.agents_kit import House


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with kit.furnished() as house:
        yield house


@pytest.fixture(params=[kit.DEMO, kit.TEST], ids=lambda manner: manner.name)
async def talk(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    """Found by `agent.json`, which speaks of 0.3 alone: the SDK chooses its old transport by that."""
    manner: Manner = request.param
    base = kit.base_of(house, manner.name)
    async with httpx.AsyncClient(transport=Strict(), timeout=kit.PATIENCE) as http:
        card = await A2ACardResolver(http, base).get_agent_card("/.well-known/agent.json")
        talk = Talk(base, manner, http, card, kit.JSONRPC)
        assert isinstance(talk.client._transport, CompatJsonRpcTransport)  # type: ignore[attr-defined]
        yield talk


async def test_the_card_is_one_of_0_3(talk: Talk) -> None:
    told = (await talk.http.get(f"{talk.base}/.well-known/agent.json")).json()
    assert (told["protocolVersion"], told["url"], told["preferredTransport"]) == ("0.3.0", talk.base, "JSONRPC")
    assert old.AgentCard.model_validate(told).capabilities.streaming
    merged = (await talk.http.get(f"{talk.base}/.well-known/agent-card.json?version=0.3")).json()
    assert merged["url"] == talk.base
    assert (await talk.client.get_extended_agent_card(pb.GetExtendedAgentCardRequest())).name == talk.manner.name


async def test_a_message_is_answered(talk: Talk) -> None:
    task = await talk.send(talk.manner.finish)
    assert (task.status.state, kit.answer(task)) == (kit.COMPLETED, talk.manner.finish.answer)
    assert (await talk.get(task.id)).status == task.status
    assert list((await talk.get(task.id, history=1)).history) == list(task.history)[-1:]


async def test_a_stream_ends_with_what_is_final(talk: Talk) -> None:
    heard = [one async for one in talk.stream(talk.manner.write)]
    assert heard[0].HasField("task")
    assert kit.states(heard)[-2:] == [kit.WORKING, kit.COMPLETED]
    assert kit.put_together(heard) == talk.manner.write.answer


async def test_only_the_last_of_a_stream_is_final(talk: Talk) -> None:
    message = {"kind": "message", "messageId": f"{talk.manner.finish.prefix}-1", "role": "user",
               "parts": [{"kind": "text", "text": talk.manner.finish.text}]}  # fmt: skip
    asked = {"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": {"message": message}}
    async with talk.http.stream("POST", talk.base, json=asked) as response:
        lines = [line async for line in response.aiter_lines()]
    told = [json.loads(line[5:])["result"] for line in lines if line.startswith("data:")]
    finals = [one["final"] for one in told if one["kind"] == "status-update"]
    assert finals == [False] * (len(finals) - 1) + [True]
    assert told[0]["kind"] == "task"
    assert told[-1]["status"]["state"] == "completed"


async def test_who_does_not_block_gets_the_task_at_once(talk: Talk) -> None:
    task = await talk.send(talk.manner.ask, at_once=True)
    assert task.status.state in (kit.SUBMITTED, kit.WORKING)
    asked = await talk.until(task.id, kit.INPUT_REQUIRED)
    assert words(asked.status.message.parts)
    assert (await talk.cancel(task.id)).status.state == kit.CANCELED
    with pytest.raises(errors.TaskNotCancelableError):
        await talk.cancel(task.id)


async def test_a_question_is_answered_while_somebody_follows(talk: Talk) -> None:
    task = await talk.send(talk.manner.ask)
    assert task.status.state == kit.INPUT_REQUIRED
    follower = talk.follow(task.id)
    first = await anext(follower)
    assert first.task.status.state == kit.INPUT_REQUIRED
    done = await talk.send("1", task=task.id)
    assert (done.id, done.status.state) == (task.id, kit.COMPLETED)
    assert kit.states([one async for one in follower])[-1] == kit.COMPLETED
    with pytest.raises(errors.UnsupportedOperationError):
        _ = [one async for one in talk.follow(task.id)]


async def test_errors_are_those_of_0_3(talk: Talk) -> None:
    for asked in (talk.get("t-none"), talk.cancel("t-none"), talk.send("x", task="t-none")):
        with pytest.raises(errors.TaskNotFoundError):
            await asked


async def test_files_data_and_a_direct_message(house: House, talk: Talk) -> None:
    if talk.manner is kit.TEST:
        one = await talk.heard(Wish("x", prefix="tck-message-response"))
        assert words(one.message.parts) == "Direct message response"
        (file,) = (await talk.send(Wish("x", prefix="tck-artifact-file"))).artifacts[0].parts
        assert (file.filename, file.media_type, file.WhichOneof("content")) == ("output.txt", "text/plain", "raw")
        (link,) = (await talk.send(Wish("x", prefix="tck-artifact-file-url"))).artifacts[0].parts
        assert (link.url, link.media_type) == ("https://example.com/output.txt", "text/plain")
        found = await talk.send(Wish("x", prefix="tck-artifact-data"))
        assert kit.data(found.artifacts[0].parts) == [{"key": "value", "count": 42}]
    else:
        parts = [
            pb.Part(text="ECHO see"),
            pb.Part(raw=b"\x00\xff", filename="a.bin", media_type="x/y"),
            pb.Part(url="https://example.com/b", filename="b.txt"),
        ]
        task = await talk.send(parts)
        assert "https://example.com/b" in kit.answer(task)
        assert kit.attached(task, "see [file: b.txt] https://example.com/b").read_bytes() == b"\x00\xff"
        assert [part.WhichOneof("content") for part in task.history[0].parts] == ["text", "raw", "url"]
        assert task.history[0].parts[1].raw == b"\x00\xff"


async def test_push_is_set_told_and_taken_back(talk: Talk) -> None:
    heard: asyncio.Queue[tuple[Any, Any]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        heard.put_nowait((request.headers.copy(), await request.json()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        task = await talk.send(talk.manner.ask)
        config = pb.TaskPushNotificationConfig(
            task_id=task.id,
            id="mine",
            url=str(server.make_url("/")),
            token="a token",
            authentication=pb.AuthenticationInfo(scheme="Bearer", credentials="secret"),
        )
        made = await talk.client.create_task_push_notification_config(config)
        assert (made.id, made.task_id, made.url) == ("mine", task.id, config.url)
        named = pb.GetTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        assert (await talk.client.get_task_push_notification_config(named)).url == config.url
        listing = pb.ListTaskPushNotificationConfigsRequest(task_id=task.id)
        found = await talk.client.list_task_push_notification_configs(listing)
        assert [one.id for one in found.configs] == ["mine"]
        await talk.send("1", task=task.id)
        while True:
            headers, told = await asyncio.wait_for(heard.get(), kit.PATIENCE)
            schema.fits_old(old.Task, told)  # 0.3 is told the whole task
            assert (headers["Authorization"], headers["X-A2A-Notification-Token"]) == ("Bearer secret", "a token")
            assert told["id"] == task.id
            if told["status"]["state"] == "completed":
                break
        gone = pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        await talk.client.delete_task_push_notification_config(gone)
        found = await talk.client.list_task_push_notification_configs(listing)
        assert list(found.configs) == []


async def test_push_that_comes_with_the_message(talk: Talk) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        heard.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        push = pb.TaskPushNotificationConfig(url=str(server.make_url("/")))
        task = await talk.send(talk.manner.finish, push=push)
        while (told := await asyncio.wait_for(heard.get(), kit.PATIENCE))["status"]["state"] != "completed":
            assert told["kind"] == "task"
        assert told["id"] == task.id
        assert "".join(part["text"] for part in told["artifacts"][0]["parts"]) == talk.manner.finish.answer
