"""A program's questions are answered over its own HTTP interface: the right one, once, or none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import encode_basic_auth, web

from synapse.runner import answering
from synapse.runner.answering import Answers
from synapse.runner.dialogs import Question
from synapse.runner.parts import Answering
from synapse.runner.profile import find
from tests.e2e.hubs import free_port

BASE = "http://127.0.0.1:{port}"
LOGIN = "synapse:{secret}"
PLACES = (
    Answering(
        list=f"{BASE}/permission", reply=f"{BASE}/permission/{{id}}/reply", login=LOGIN, about="metadata.command",
        choices={"^Allow once$": '{"reply": "once"}', "^Reject$": '{"reply": "reject"}'},
    ),
    Answering(
        list=f"{BASE}/question", reply=f"{BASE}/question/{{id}}/reply", login=LOGIN, about="questions.question",
        choices={".": '{"answers": [["{choice}"]]}'},
    ),
)  # fmt: skip


class Program:
    """What is asked of a person at a moment, and what was answered."""

    def __init__(self) -> None:
        self.asked: dict[str, list[dict[str, Any]]] = {"permission": [], "question": []}
        self.answered: list[tuple[str, str, Any]] = []
        self.status = 200

    def app(self) -> web.Application:
        async def asked(request: web.Request) -> web.Response:
            assert request.headers["Authorization"] == encode_basic_auth("synapse", "abc")
            return web.json_response(self.asked[request.match_info["kind"]])

        async def reply(request: web.Request) -> web.Response:
            kind, id = request.match_info["kind"], request.match_info["id"]
            self.answered.append((kind, id, await request.json()))
            self.asked[kind] = [one for one in self.asked[kind] if one["id"] != id]
            return web.json_response(True, status=self.status)

        app = web.Application()
        app.router.add_get("/{kind}", asked)
        app.router.add_post("/{kind}/{id}/reply", reply)
        return app


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Answers]:
    runner = web.AppRunner(program.app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Answers(PLACES, {"port": str(runner.addresses[0][1]), "secret": "abc"})
    finally:
        await runner.cleanup()


def permission(id: str, command: str) -> dict[str, Any]:
    return {"id": id, "metadata": {"command": command}}


def dialog(command: str) -> Question:
    """As it is read from a screen, where the command may be wrapped."""
    return Question(
        f"△ Permission required\n  # Shell command\n\n$ {command}", ("Allow once", "Allow always", "Reject")
    )


async def test_the_choice_is_sent_for_the_question_that_stands_there() -> None:
    program = Program()
    program.asked["permission"] = [permission("p1", "touch a"), permission("p2", "rm -rf b c")]
    async with running(program) as answers:
        assert await answers.give(dialog("rm -rf\n  b c"), "Allow once") == ""
        assert await answers.give(dialog("touch a"), "Reject") == ""
    assert program.answered == [("permission", "p2", {"reply": "once"}), ("permission", "p1", {"reply": "reject"})]


async def test_a_question_of_the_models_takes_the_choices_text_without_its_number() -> None:
    program = Program()
    program.asked["question"] = [{"id": "q1", "questions": [{"question": "Which color?"}]}]
    async with running(program) as answers:
        assert await answers.give(Question("Which color?", ("1. Red", '2. "Blue"')), '2. "Blue"') == ""
    assert program.answered == [("question", "q1", {"answers": [['"Blue"']]})]


@pytest.mark.parametrize(
    ("asked", "choice", "why"),
    [
        ([permission("p1", "touch other")], "Allow once", answering.SEVERAL),
        ([permission("p1", "touch a"), permission("p2", "touch a")], "Allow once", answering.SEVERAL),
        ([], "Allow once", answering.GONE),
        ([permission("p1", "touch a")], "Allow always", answering.GONE),  # nobody has said how this is made
    ],
)
async def test_nothing_is_sent_where_it_is_not_sure(asked: list[dict[str, Any]], choice: str, why: str) -> None:
    program = Program()
    program.asked["permission"] = asked
    async with running(program) as answers:
        assert await answers.give(dialog("touch a"), choice) == why
    assert program.answered == []


async def test_a_refusal_and_an_absent_program_are_told() -> None:
    program = Program()
    for program.status, why in ((404, answering.GONE), (500, "The program refuses it (status 500).")):
        program.asked["permission"] = [permission("p1", "touch a")]
        async with running(program) as answers:
            assert await answers.give(dialog("touch a"), "Allow once") == why
    gone = Answers(PLACES, {"port": str(free_port()), "secret": "abc"})
    assert await gone.give(dialog("touch a"), "Allow once") == answering.UNREACHABLE
    assert await Answers(PLACES, {}).give(dialog("touch a"), "Allow once") == answering.UNREACHABLE
    assert await Answers(PLACES[:1], {}).give(dialog("touch a"), "Maybe") == answering.UNKNOWN


def test_opencode_knows_all_its_choices() -> None:
    profile = find("opencode")
    assert profile is not None
    assert profile.approve_by == "http"
    for choice in ("Allow once", "Allow always", "Reject"):
        assert answering._body(profile.answering[0], choice) is not None
    assert answering._body(profile.answering[1], "3. a choice") == {"answers": [["a choice"]]}
