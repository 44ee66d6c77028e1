"""The official SDK talks to our agents: one conversation, over both bindings, with a program in a terminal and with the
agent that is made for tests. Whatever comes back is held to the schema on its way (`a2a_kit.Strict`)."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from a2a.client import A2ACardResolver, ClientCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.e2e import a2a_kit as kit
from tests.e2e.a2a_kit import JSONRPC, Manner, Talk, Wish, words
from tests.e2e.agents_kit import House
from tests.e2e.hubs import until

MANNERS = [kit.DEMO, kit.TEST]
BYTES = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with kit.furnished() as house:
        yield house


@pytest.fixture(params=kit.BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=MANNERS, ids=lambda manner: manner.name)
async def talk(house: House, binding: str, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    manner: Manner = request.param
    async with kit.talk(kit.base_of(house, manner.name), manner, binding) as talk:
        yield talk


@pytest.fixture
async def demo(house: House, binding: str) -> AsyncIterator[Talk]:
    async with kit.talk(kit.base_of(house, kit.DEMO.name), kit.DEMO, binding) as talk:
        yield talk


# -- cards


async def test_the_card_says_where_and_how_the_agent_is_reached(talk: Talk) -> None:
    card = talk.card
    assert card.name == talk.manner.name
    assert {(one.protocol_binding, one.protocol_version) for one in card.supported_interfaces} >= {
        ("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"),
    }  # fmt: skip
    assert {one.url for one in card.supported_interfaces} == {talk.base}
    assert card.capabilities.streaming
    assert card.capabilities.push_notifications
    assert card.skills


async def test_a_card_that_has_not_changed_is_not_sent_again(talk: Talk) -> None:
    place = f"{talk.base}/.well-known/agent-card.json"
    first = await talk.http.get(place)
    again = await talk.http.get(place, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (await talk.http.get(place, headers={"If-None-Match": "*"})).status_code == 304
    other = await talk.http.get(place, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_older_clients_find_their_card(talk: Talk) -> None:
    card = await A2ACardResolver(talk.http, talk.base).get_agent_card("/.well-known/agent.json")
    (interface,) = [one for one in card.supported_interfaces if one.protocol_version.startswith("0.3")][:1]
    assert (interface.url, interface.protocol_binding, card.name) == (talk.base, "JSONRPC", talk.card.name)


async def test_the_extended_card(talk: Talk) -> None:
    card = await talk.client.get_extended_agent_card(pb.GetExtendedAgentCardRequest())
    assert card.name == talk.manner.name


async def test_an_agent_is_reached_on_a_port_of_its_own_too() -> None:
    house = House()
    house.env["SYNAPSE_HUB_AGENT_PORTS"] = "true"
    try:
        base = f"http://127.0.0.1:{(await asyncio.to_thread(house.agent, kit.DEMO.name))['port']}"
        for binding in kit.BINDINGS:
            async with kit.talk(base, kit.DEMO, binding) as talk:
                assert {one.url for one in talk.card.supported_interfaces} == {base}
                assert kit.answer(await talk.send("6*7")) == "42"
                heard = [one async for one in talk.stream("PING x")]
                assert (kit.states(heard)[-1], kit.put_together(heard)) == (kit.COMPLETED, "PONG x")
    finally:
        await asyncio.to_thread(house.close)


# -- sending


async def test_a_message_is_answered(talk: Talk) -> None:
    task = await talk.send(talk.manner.finish)
    assert task.status.state == kit.COMPLETED
    assert kit.answer(task) == talk.manner.finish.answer
    assert [message.role for message in task.history][:1] == [pb.Role.ROLE_USER]
    assert words(task.history[0].parts) == talk.manner.finish.text
    assert await talk.get(task.id) == task


async def test_a_stream_tells_the_task_then_that_it_works_then_the_answer_then_the_end(talk: Talk) -> None:
    heard = [one async for one in talk.stream(talk.manner.write)]
    assert heard[0].HasField("task")
    assert kit.states(heard)[-2:] == [kit.WORKING, kit.COMPLETED]
    kinds = [one.WhichOneof("payload") for one in heard]
    assert kinds[-1] == "status_update"
    assert "artifact_update" in kinds
    assert kit.put_together(heard) == talk.manner.write.answer
    chunks = [one.artifact_update for one in heard if one.HasField("artifact_update")]
    assert [chunk.last_chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert kit.answer(await talk.get(heard[0].task.id)) == talk.manner.write.answer


async def test_the_answer_of_a_program_comes_bit_by_bit(demo: Talk) -> None:
    heard = [one async for one in demo.stream(demo.manner.write)]
    chunks = [one.artifact_update for one in heard if one.HasField("artifact_update")]
    assert len(chunks) >= 2
    assert not chunks[0].append
    assert chunks[1].append


async def test_who_does_not_wait_gets_the_task_at_once(talk: Talk) -> None:
    task = await talk.send(talk.manner.finish, at_once=True)
    assert task.status.state in (kit.SUBMITTED, kit.WORKING)
    done = await talk.until(task.id)
    assert (done.status.state, kit.answer(done)) == (kit.COMPLETED, talk.manner.finish.answer)


async def test_two_who_follow_a_task_hear_the_same(talk: Talk) -> None:
    task = await talk.send(talk.manner.ask)
    streams = [talk.follow(task.id), talk.follow(task.id)]
    firsts = [await anext(stream) for stream in streams]
    await talk.send("1", task=task.id)
    rest = [[one async for one in stream] for stream in streams]
    assert firsts[0] == firsts[1]
    assert firsts[0].task.status.state == kit.INPUT_REQUIRED
    assert rest[0] == rest[1]
    assert kit.states(rest[0])[-1] == kit.COMPLETED


async def test_one_who_stops_following_leaves_the_other(talk: Talk) -> None:
    task = await talk.send(talk.manner.ask)
    leaving, staying = talk.follow(task.id), talk.follow(task.id)
    await anext(leaving)
    await anext(staying)
    await leaving.aclose()  # type: ignore[attr-defined]
    await talk.send("1", task=task.id)
    assert kit.states([one async for one in staying])[-1] == kit.COMPLETED


async def test_a_sending_stream_ends_where_the_agent_asks_back(talk: Talk) -> None:
    heard = [one async for one in talk.stream(talk.manner.ask)]
    assert kit.states(heard)[-1] == kit.INPUT_REQUIRED
    assert heard[-1].status_update.status.message.role == pb.Role.ROLE_AGENT
    heard = [one async for one in talk.stream("1", task=heard[0].task.id)]
    assert kit.states(heard)[-1] == kit.COMPLETED


async def test_called_off_the_work_ends_and_the_agent_is_free(talk: Talk) -> None:
    task = await talk.send(talk.manner.last, at_once=True)
    await talk.until(task.id, kit.WORKING)
    assert (await talk.cancel(task.id)).status.state == kit.CANCELED
    assert (await talk.get(task.id)).status.state == kit.CANCELED
    with pytest.raises(errors.TaskNotCancelableError):
        await talk.cancel(task.id)
    after = await talk.send(talk.manner.finish)
    assert (after.status.state, kit.answer(after)) == (kit.COMPLETED, talk.manner.finish.answer)


async def test_a_question_is_called_off(talk: Talk) -> None:
    task = await talk.send(talk.manner.ask)
    stream = talk.follow(task.id)
    await anext(stream)
    assert (await talk.cancel(task.id)).status.state == kit.CANCELED
    assert kit.states([one async for one in stream]) == [kit.CANCELED]
    assert (await talk.send(talk.manner.finish)).status.state == kit.COMPLETED


# -- questions


async def test_a_question_of_a_program_comes_with_its_choices(demo: Talk) -> None:
    task = await demo.send(demo.manner.ask)
    assert task.status.state == kit.INPUT_REQUIRED
    asked = task.status.message
    assert "run this command" in words(asked.parts)
    (about,) = kit.data(asked.parts)
    assert [choice["number"] for choice in about["choices"]] == [1, 2]
    assert ["Yes" in choice["text"] for choice in about["choices"]] == [True, False]
    assert about["command"] == "echo granted"
    await demo.send("2", task=task.id)


def _data(value: Any) -> list[pb.Part]:
    return [ParseDict({"data": value}, pb.Part())]


@pytest.mark.parametrize("binding", [JSONRPC])
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("1", "granted"),
        ("Yes", "granted"),
        ("yes", "granted"),
        ("2", "declined"),
        ("no", "declined"),
        (_data({"choice": 1}), "granted"),
        (_data({"choice": "No"}), "declined"),
        (_data({"approve": True}), "granted"),
        (_data({"approve": False}), "declined"),
    ],
    ids=["1", "Yes", "yes", "2", "no", "choice-1", "choice-No", "approve", "approve-not"],
)
async def test_a_question_is_answered(demo: Talk, said: Any, answer: str) -> None:
    task = await demo.send(demo.manner.ask)
    done = await demo.send(said, task=task.id)
    assert (done.id, done.status.state, kit.answer(done)) == (task.id, kit.COMPLETED, answer)
    assert [message.role for message in done.history] == [pb.Role.ROLE_USER, pb.Role.ROLE_AGENT, pb.Role.ROLE_USER]


async def test_what_is_no_answer_is_refused_and_the_question_stays(demo: Talk) -> None:
    task = await demo.send(demo.manner.ask)
    for wrong in ("9", "perhaps", "0", "-1", "Yes and no"):
        with pytest.raises(errors.InvalidParamsError, match="no choice"):
            await demo.send(wrong, task=task.id)
    assert (await demo.get(task.id)).status == task.status
    assert kit.answer(await demo.send("no", task=task.id)) == "declined"


async def test_an_agent_without_a_terminal_asks_and_is_answered(talk: Talk) -> None:
    task = await talk.send(talk.manner.ask)
    assert task.status.state == kit.INPUT_REQUIRED
    assert words(task.status.message.parts)
    done = await talk.send("1", task=task.id)
    assert (done.id, done.status.state) == (task.id, kit.COMPLETED)


# -- lists


async def test_tasks_are_listed_by_context_and_state_newest_first_and_by_pages(talk: Talk) -> None:
    done = [await talk.send(talk.manner.finish) for _ in range(3)]
    asking = await talk.send(talk.manner.ask)
    try:
        found = await _listed(talk)
        assert [task.id for task in found.tasks] == [asking.id, *(task.id for task in reversed(done))]
        assert (found.total_size, found.page_size, found.next_page_token) == (4, 50, "")
        assert not any(task.artifacts for task in found.tasks)

        found = await _listed(talk, status=kit.COMPLETED, include_artifacts=True, history_length=0)
        assert [task.id for task in found.tasks] == [task.id for task in reversed(done)]
        assert {kit.answer(task) for task in found.tasks} == {talk.manner.finish.answer}
        assert not any(task.history for task in found.tasks)

        pages, token = [], ""
        while True:
            found = await _listed(talk, page_size=3, page_token=token)
            pages.append([task.id for task in found.tasks])
            assert found.total_size == 4
            token = found.next_page_token
            if not token:
                break
        assert pages == [[asking.id, done[2].id, done[1].id], [done[0].id]]

        request = pb.ListTasksRequest(context_id=talk.context)
        request.status_timestamp_after.CopyFrom(done[2].status.timestamp)
        found = await talk.client.list_tasks(request)
        assert {task.id for task in found.tasks} == {asking.id, done[2].id}
    finally:
        await talk.cancel(asking.id)


async def _listed(talk: Talk, **more: Any) -> pb.ListTasksResponse:
    return await talk.client.list_tasks(pb.ListTasksRequest(context_id=talk.context, **more))


async def test_there_is_nothing_in_a_context_that_nobody_uses(talk: Talk) -> None:
    found = await _listed(talk)
    assert (list(found.tasks), found.total_size, found.next_page_token) == ([], 0, "")


@pytest.mark.parametrize("talk", [kit.TEST], indirect=True, ids=["tck"])
@pytest.mark.parametrize("wrong", [{"page_size": 101}, {"page_size": -1}, {"page_token": "x"}, {"history_length": -1}])
async def test_a_list_that_is_asked_for_wrongly_is_refused(talk: Talk, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidParamsError):
        await _listed(talk, **wrong)


# -- histories, contexts, ids


async def test_as_much_of_the_history_comes_as_is_wanted(demo: Talk) -> None:
    task = await demo.send(demo.manner.ask)
    done = await demo.send("1", task=task.id)
    assert len(done.history) == 3
    assert list((await demo.get(task.id, history=0)).history) == []
    assert list((await demo.get(task.id, history=2)).history) == list(done.history)[1:]
    assert (await demo.get(task.id, history=100)).history == done.history
    assert list((await demo.send(demo.manner.finish, history=0)).history) == []
    with pytest.raises(errors.InvalidParamsError):
        await demo.get(task.id, history=-1)


async def test_a_task_without_a_context_gets_one_and_a_given_one_is_kept(talk: Talk) -> None:
    alone = await talk.send(talk.manner.finish, context="")
    assert alone.context_id
    other = await talk.send(talk.manner.finish, context="")
    assert other.context_id not in ("", alone.context_id)
    together = await talk.send(talk.manner.finish, context=alone.context_id)
    assert (together.context_id, together.id != alone.id) == (alone.context_id, True)


async def test_a_task_belongs_to_one_context(talk: Talk) -> None:
    task = await talk.send(talk.manner.ask)
    assert task.context_id == talk.context
    with pytest.raises(errors.InvalidParamsError, match="context"):
        await talk.send("1", task=task.id, context="another")
    done = await talk.send("1", task=task.id, context=talk.context)
    assert (done.context_id, done.status.state) == (talk.context, kit.COMPLETED)


async def test_nothing_more_is_said_to_a_task_that_has_ended(talk: Talk) -> None:
    task = await talk.send(talk.manner.finish)
    with pytest.raises(errors.UnsupportedOperationError):
        await talk.send("more", task=task.id)
    with pytest.raises(errors.UnsupportedOperationError):
        _ = [one async for one in talk.stream("more", task=task.id)]
    with pytest.raises(errors.UnsupportedOperationError):
        _ = [one async for one in talk.follow(task.id)]
    with pytest.raises(errors.TaskNotCancelableError):
        await talk.cancel(task.id)
    assert await talk.get(task.id) == task


@pytest.mark.parametrize("talk", [kit.TEST], indirect=True, ids=["tck"])
@pytest.mark.parametrize("id", ["t-none", "x y", "ünï", "a" * 300])
async def test_a_task_that_is_not_there(talk: Talk, id: str) -> None:
    for asked in (
        talk.get(id),
        talk.cancel(id),
        talk.send("x", task=id),
        _all(talk.follow(id)),
        _all(talk.stream("x", task=id)),
    ):
        with pytest.raises(errors.TaskNotFoundError):
            await asked


async def _all(stream: AsyncIterator[pb.StreamResponse]) -> list[pb.StreamResponse]:
    return [one async for one in stream]


async def test_the_tasks_of_one_agent_are_not_those_of_another(house: House, talk: Talk) -> None:
    task = await talk.send(talk.manner.finish)
    await asyncio.to_thread(house.agent, f"other-{talk.manner.name}-{talk.binding[0].lower()}", ready=False)
    other = kit.base_of(house, f"other-{talk.manner.name}-{talk.binding[0].lower()}")
    async with kit.talk(other, kit.DEMO, talk.binding) as stranger:
        with pytest.raises(errors.TaskNotFoundError):
            await stranger.get(task.id)
        assert (await _listed(stranger)).total_size == 0


# -- parts


async def test_a_file_comes_to_a_program_as_a_private_file_with_the_same_bytes(demo: Talk) -> None:
    parts = [pb.Part(text="ECHO look:"), pb.Part(raw=BYTES, filename="../../etc/some notes.bin", media_type="x/y")]
    task = await demo.send(parts)
    place = kit.attached(task, "look:")
    assert place.read_bytes() == BYTES
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    kept = task.history[0].parts[1]
    assert (kept.raw, kept.filename, kept.media_type) == (BYTES, "../../etc/some notes.bin", "x/y")


@pytest.mark.parametrize("choice", [{"text": "1"}, {"data": {"choice": 1}}, {"data": {"approve": True}}], ids=str)
async def test_a_file_with_the_answer_to_a_question_comes_to_the_program_too(
    demo: Talk, choice: dict[str, Any]
) -> None:
    asked = await demo.send(demo.manner.ask)
    assert asked.status.state == kit.INPUT_REQUIRED
    parts = [ParseDict(choice, pb.Part()), pb.Part(text="ECHO look:"), pb.Part(raw=BYTES, filename="notes.bin")]
    task = await demo.send(parts, task=asked.id)
    place = kit.attached(task, "look:")
    assert place.read_bytes() == BYTES
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [words(one.parts) for one in task.history if one.role == pb.Role.ROLE_AGENT][1:] == ["granted"]
    kept = [part.filename for one in task.history for part in one.parts if part.filename]
    assert kept == ["notes.bin"]


async def test_a_file_alone_with_the_answer_is_told_of(demo: Talk) -> None:
    asked = await demo.send(demo.manner.ask)
    task = await demo.send([pb.Part(text="1"), pb.Part(raw=BYTES, filename="notes.bin")], task=asked.id)
    assert task.status.state == kit.COMPLETED
    assert kit.attached(task, "You said: This came with the answer to what you asked.").read_bytes() == BYTES


async def test_an_address_and_data_come_to_a_program_as_text(demo: Talk) -> None:
    parts = [
        pb.Part(text="ECHO what"),
        pb.Part(url="https://example.com/a.txt", filename="a.txt", media_type="text/plain"),
        *_data({"key": "value", "count": 42}),
    ]
    task = await demo.send(parts)
    said = kit.answer(task)
    assert "https://example.com/a.txt" in said
    assert "a.txt, text/plain" in said
    assert json.loads(said.partition("```json")[2].rpartition("```")[0]) == {"key": "value", "count": 42}
    assert [part.WhichOneof("content") for part in task.history[0].parts] == ["text", "url", "data"]
    assert MessageToDict(task.history[0].parts[2])["data"] == {"key": "value", "count": 42}


async def test_metadata_extensions_and_references_are_kept(talk: Talk) -> None:
    request = talk.request(talk.manner.finish, metadata={"colour": "red", "priority": 2})
    request.message.extensions.append("urn:example:extension")
    request.message.reference_task_ids.append("t-other")
    request.message.parts[0].metadata.update({"of": "a part"})
    (one,) = [one async for one in talk.client.send_message(request)]
    said = one.task.history[0]
    assert MessageToDict(said.metadata) == {"colour": "red", "priority": 2}
    assert list(said.extensions) == ["urn:example:extension"]
    assert list(said.reference_task_ids) == ["t-other"]
    assert MessageToDict(said.parts[0].metadata) == {"of": "a part"}
    assert said.message_id == request.message.message_id


# -- versions and words


async def test_a_version_that_is_not_spoken_is_refused(talk: Talk) -> None:
    context = ClientCallContext(service_parameters={"A2A-Version": "99.0"})
    with pytest.raises(errors.VersionNotSupportedError):
        await talk.client.get_task(pb.GetTaskRequest(id="t-none"), context=context)
    with pytest.raises(errors.VersionNotSupportedError):
        _ = [one async for one in talk.client.send_message(talk.request("x"), context=context)]


async def test_a_method_that_is_not_there(talk: Talk) -> None:
    if talk.binding == JSONRPC:
        asked = {"jsonrpc": "2.0", "id": 7, "method": "SendMessage2", "params": {}}
        told = (await talk.http.post(talk.base, json=asked)).json()
        assert (told["id"], told["error"]["code"]) == (7, -32601)
    else:
        assert (await talk.http.post(f"{talk.base}/message:shout", json={})).status_code == 404


async def test_unknown_fields_other_names_and_numbers_as_texts_are_taken(talk: Talk) -> None:
    finish = talk.manner.finish
    message = {
        "message_id": f"{finish.prefix}-0badcafe", "role": 1, "context_id": talk.context, "flavour": "sweet",
        "parts": [{"text": finish.text, "media_type": "text/plain", "colour": 3}],
    }  # fmt: skip
    params = {"message": message, "configuration": {"history_length": "0", "loud": True}, "more": [1, 2]}
    if talk.binding == JSONRPC:
        asked = {"jsonrpc": "2.0", "id": "a", "method": "SendMessage", "params": params, "also": 1}
        task = (await talk.http.post(talk.base, json=asked)).json()["result"]["task"]
        asked = {"jsonrpc": "2.0", "id": 1.5, "method": "ListTasks",
                 "params": {"context_id": talk.context, "page_size": "7", "include_artifacts": True, "status": 3}}  # fmt: skip
        found = (await talk.http.post(talk.base, json=asked)).json()["result"]
    else:
        task = (await talk.http.post(f"{talk.base}/message:send", json=params)).json()["task"]
        query = f"contextId={talk.context}&pageSize=7&includeArtifacts=true&status=TASK_STATE_COMPLETED&x=y"
        found = (await talk.http.get(f"{talk.base}/tasks?{query}")).json()
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert "history" not in task
    assert [(one["id"], one["artifacts"]) for one in found["tasks"]] == [(task["id"], task["artifacts"])]
    assert found["pageSize"] == 7


async def test_a_tenant_in_front_is_tolerated(demo: Talk) -> None:
    request = demo.request(demo.manner.finish)
    request.tenant = "acme"
    (one,) = [one async for one in demo.client.send_message(request)]
    assert kit.answer(one.task) == "42"
    assert (await demo.client.get_task(pb.GetTaskRequest(tenant="acme", id=one.task.id))).id == one.task.id


# -- what only the agent for tests does


async def test_a_direct_message_is_no_task(house: House, binding: str) -> None:
    async with kit.talk(kit.base_of(house, "tck"), kit.TEST, binding) as talk:
        said = Wish("x", prefix="tck-message-response")
        one = await talk.heard(said)
        assert words(one.message.parts) == "Direct message response"
        assert one.message.role == pb.Role.ROLE_AGENT
        (one,) = [one async for one in talk.stream(said)]
        assert words(one.message.parts) == "Direct message response"


async def test_work_that_is_refused(house: House, binding: str) -> None:
    async with kit.talk(kit.base_of(house, "tck"), kit.TEST, binding) as talk:
        task = await talk.send(Wish("x", prefix="tck-reject-task"))
        assert task.status.state == kit.REJECTED
        assert kit.states([one async for one in talk.stream(Wish("x", prefix="tck-reject-task"))])[-1] == kit.REJECTED


async def test_files_and_data_come_back_as_they_are(house: House, binding: str) -> None:
    async with kit.talk(kit.base_of(house, "tck"), kit.TEST, binding) as talk:
        file = (await talk.send(Wish("x", prefix="tck-artifact-file"))).artifacts[0].parts[0]
        assert (file.filename, file.media_type, file.WhichOneof("content")) == ("output.txt", "text/plain", "raw")
        link = (await talk.send(Wish("x", prefix="tck-artifact-file-url"))).artifacts[0].parts[0]
        assert (link.url, link.filename) == ("https://example.com/output.txt", "output.txt")
        found = await talk.send(Wish("x", prefix="tck-artifact-data"))
        assert kit.data(found.artifacts[0].parts) == [{"key": "value", "count": 42}]


# -- many


async def test_many_at_once_are_all_answered_with_their_own(demo: Talk) -> None:
    sent = [demo.send(f"ECHO {number}") for number in range(10)]
    assert [kit.answer(task) for task in await asyncio.gather(*sent)] == [str(number) for number in range(10)]


async def test_an_agent_that_ends_in_the_middle_fails_its_task(house: House, binding: str) -> None:
    name = f"mortal-{binding[0].lower()}"
    await asyncio.to_thread(house.agent, name)
    async with kit.talk(kit.base_of(house, name), kit.DEMO, binding) as talk:
        task = await talk.send("EXIT 3")
        assert task.status.state == kit.FAILED
        assert "exit status 3" in words(task.status.message.parts)
        gone = await asyncio.to_thread(until, lambda: _card_status(talk.base) == 404)
        assert gone


def _card_status(base: str) -> int:
    import httpx

    return httpx.get(f"{base}/.well-known/agent-card.json").status_code
