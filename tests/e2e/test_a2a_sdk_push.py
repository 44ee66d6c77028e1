"""Push notifications as the official SDK asks for them: set with the message or later, told to a server, taken back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.protobuf.json_format import ParseDict

from tests.core.a2a import schema
from tests.e2e import a2a_kit as kit
from tests.e2e.a2a_kit import Manner, Talk
from tests.e2e.agents_kit import House

SECRET = "Basic-not, but a secret of 1"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with kit.furnished() as house:
        yield house


@pytest.fixture(params=kit.BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[kit.DEMO, kit.TEST], ids=lambda manner: manner.name)
async def talk(house: House, binding: str, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    manner: Manner = request.param
    async with kit.talk(kit.base_of(house, manner.name), manner, binding) as talk:
        yield talk


class Receiver:
    """A server that is called when a task changes."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], pb.StreamResponse]] = []
        self._came = asyncio.Condition()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        told = await request.json()
        async with self._came:
            self.heard.append((dict(request.headers), ParseDict(told, pb.StreamResponse())))
            self._came.notify_all()
        schema.fits(pb.StreamResponse, told)
        return web.Response()

    async def until(self, *states: int) -> pb.StreamResponse:
        """The notice of a state."""

        def there() -> pb.StreamResponse | None:
            return next((one for _, one in self.heard if set(kit.states([one])) & set(states)), None)

        async with asyncio.timeout(kit.PATIENCE), self._came:
            await self._came.wait_for(there)
        found = there()
        assert found is not None
        return found

    def config(self, **more: Any) -> pb.TaskPushNotificationConfig:
        return pb.TaskPushNotificationConfig(
            url=self.url,
            token="a token",
            authentication=pb.AuthenticationInfo(scheme="Bearer", credentials=SECRET),
            **more,
        )


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/push/here", receiver.take)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/push/here?x=1"))
        yield receiver


async def test_who_asked_is_told_what_happens_with_its_own_credentials(talk: Talk, receiver: Receiver) -> None:
    task = await talk.send(talk.manner.ask, push=receiver.config())
    asked = await receiver.until(kit.INPUT_REQUIRED)
    assert asked.status_update.task_id == task.id
    await talk.send("1", task=task.id)
    await receiver.until(kit.COMPLETED)
    states = kit.states([one for _, one in receiver.heard])
    assert states.count(kit.COMPLETED) == 1
    assert states.index(kit.INPUT_REQUIRED) < states.index(kit.COMPLETED)
    for headers, _ in receiver.heard:
        assert headers["Authorization"] == f"Bearer {SECRET}"
        assert headers["X-A2A-Notification-Token"] == "a token"
        assert headers["Content-Type"].startswith(("application/a2a+json", "application/json"))


async def test_the_answer_comes_with_it(talk: Talk, receiver: Receiver) -> None:
    task = await talk.send(talk.manner.finish, push=receiver.config())
    await receiver.until(kit.COMPLETED)
    heard = [one for _, one in receiver.heard]
    assert {kit.words(one.artifact_update.artifact.parts) for one in heard if one.HasField("artifact_update")} | {
        kit.answer(one.task) for one in heard if one.HasField("task")
    } >= {talk.manner.finish.answer}
    assert task.status.state == kit.COMPLETED


async def test_who_asks_later_is_told_what_comes_then(talk: Talk, receiver: Receiver) -> None:
    task = await talk.send(talk.manner.ask)
    made = await talk.client.create_task_push_notification_config(receiver.config(task_id=task.id))
    assert (made.task_id, made.url, bool(made.id)) == (task.id, receiver.url, True)
    await talk.send("1", task=task.id)
    await receiver.until(kit.COMPLETED)


async def test_a_configuration_is_kept_told_and_deleted_also_of_a_task_that_has_ended(talk: Talk) -> None:
    task = await talk.send(talk.manner.finish)
    ids = sorted(f"tck-push-{uuid4().hex[:8]}" for _ in range(3))
    for id in ids:
        made = await talk.client.create_task_push_notification_config(
            pb.TaskPushNotificationConfig(
                task_id=task.id,
                id=id,
                url="https://example.com/tck-push-webhook",
                token="t",
                authentication=pb.AuthenticationInfo(scheme="Bearer", credentials=SECRET),
            )
        )
        assert (made.id, made.task_id) == (id, task.id)
    named = pb.GetTaskPushNotificationConfigRequest(task_id=task.id, id=ids[0])
    found = await talk.client.get_task_push_notification_config(named)
    assert (found.id, found.url, found.token) == (ids[0], "https://example.com/tck-push-webhook", "t")
    assert (found.authentication.scheme, found.authentication.credentials) == ("Bearer", SECRET)
    assert [one.id for one in await _listed(talk, task.id)] == ids
    gone = pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id=ids[0])
    await talk.client.delete_task_push_notification_config(gone)
    await talk.client.delete_task_push_notification_config(gone)
    assert [one.id for one in await _listed(talk, task.id)] == ids[1:]
    with pytest.raises(errors.A2AError):
        await talk.client.get_task_push_notification_config(named)


async def _listed(talk: Talk, task: str) -> list[pb.TaskPushNotificationConfig]:
    """All of a task's, by pages of two."""
    configs: list[pb.TaskPushNotificationConfig] = []
    request = pb.ListTaskPushNotificationConfigsRequest(task_id=task, page_size=2)
    while True:
        found = await talk.client.list_task_push_notification_configs(request)
        configs.extend(found.configs)
        assert len(found.configs) <= 2
        if not found.next_page_token:
            return configs
        request.page_token = found.next_page_token


async def test_the_same_id_again_takes_the_place_of_the_first(talk: Talk) -> None:
    task = await talk.send(talk.manner.finish)
    for url in ("https://example.com/1", "https://example.com/2"):
        await talk.client.create_task_push_notification_config(
            pb.TaskPushNotificationConfig(task_id=task.id, id="one", url=url)
        )
    assert [(one.id, one.url) for one in await _listed(talk, task.id)] == [("one", "https://example.com/2")]


async def test_who_does_not_want_to_hear_any_more_is_told_nothing(talk: Talk, receiver: Receiver) -> None:
    task = await talk.send(talk.manner.ask, push=receiver.config(id="mine"))
    await receiver.until(kit.INPUT_REQUIRED)
    await talk.client.delete_task_push_notification_config(
        pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
    )
    other = await talk.client.create_task_push_notification_config(receiver.config(task_id=task.id, id="other"))
    receiver.heard.clear()
    await talk.send("1", task=task.id)
    await receiver.until(kit.COMPLETED)
    assert kit.states([one for _, one in receiver.heard]).count(kit.COMPLETED) == 1
    assert other.id == "other"


@pytest.mark.parametrize("talk", [kit.TEST], indirect=True, ids=["tck"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"url": ""},
        {"url": "file:///etc/passwd"},
        {"url": "javascript:alert(1)"},
        {"url": "ftp://example.com/x"},
        {"url": "http://"},
        {"url": "https://example.com/\r\nX-Evil: 1"},
        {"url": "https://user:password@example.com/"},
        {"url": "http://169.254.169.254/latest/meta-data"},
        {"url": "http://10.0.0.1/"},
        {"url": "http://[::ffff:10.0.0.1]/"},
        {"url": "http://0x0a000001/"},
        {"url": "https://example.com/", "token": "a\r\nX-Evil: 1"},
        {"url": "https://example.com/", "authentication": {"scheme": "Bearer\r\nX-Evil: 1", "credentials": "x"}},
        {"url": "https://example.com/", "authentication": {"scheme": "Bearer", "credentials": "x\nX-Evil: 1"}},
        {"url": "https://example.com/", "id": "x" * 300},
        {"url": "https://example.com/" + "x" * 5000},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
async def test_a_place_or_credentials_that_are_none_are_refused_before_there_is_a_task(
    talk: Talk, wrong: dict[str, Any]
) -> None:
    config = ParseDict(wrong, pb.TaskPushNotificationConfig())
    with pytest.raises((errors.InvalidParamsError, errors.UnsupportedOperationError)):
        await talk.send(talk.manner.finish, push=config)
    found = await talk.client.list_tasks(pb.ListTasksRequest(context_id=talk.context))
    assert found.total_size == 0


async def test_the_hub_is_not_called_by_itself(house: House, talk: Talk) -> None:
    own = f"http://127.0.0.1:{house.told['port']}/agents/bo/message:send"
    with pytest.raises((errors.InvalidParamsError, errors.UnsupportedOperationError)):
        await talk.send(talk.manner.finish, push=pb.TaskPushNotificationConfig(url=own))


async def test_a_task_that_is_not_there_has_no_configurations(talk: Talk) -> None:
    config = pb.TaskPushNotificationConfig(task_id="t-none", url="https://example.com/")
    for asked in (
        talk.client.create_task_push_notification_config(config),
        talk.client.get_task_push_notification_config(
            pb.GetTaskPushNotificationConfigRequest(task_id="t-none", id="x")
        ),
        talk.client.list_task_push_notification_configs(pb.ListTaskPushNotificationConfigsRequest(task_id="t-none")),
        talk.client.delete_task_push_notification_config(
            pb.DeleteTaskPushNotificationConfigRequest(task_id="t-none", id="x")
        ),
    ):
        with pytest.raises(errors.TaskNotFoundError):
            await asked
