"""Answers what a program asks over the HTTP interface that it serves on this machine, without a key."""

import re
from collections.abc import Mapping
from typing import Any

from synapse.client.lines import loads
from synapse.runner import picking
from synapse.runner.dialogs import Question
from synapse.runner.events import server
from synapse.runner.filling import fill
from synapse.runner.http import Failed, Server
from synapse.runner.parts import Answering
from synapse.runner.skeleton import skeleton

UNREACHABLE = "The program cannot be reached: answer it in its terminal."
UNKNOWN = "How this choice is made is not known: answer it in its terminal."
SEVERAL = "Which of its questions stands there is not sure: answer it in its terminal."
GONE = "The program does not ask this any more."


class Answers:
    """The ways in `places` are tried in their order; the first that knows the choice and is asked something counts."""

    def __init__(self, places: tuple[Answering, ...], values: Mapping[str, str]) -> None:
        self._places = places
        self._values = values

    async def give(self, question: Question, choice: str) -> str:
        """Answer the question that stands on the screen by one of its choices; "" when that is done, else why not."""
        failure = UNKNOWN
        for place in self._places:
            body = _body(place, choice)
            if body is None:
                continue
            try:
                return await self._give(place, question, body)
            except Failed:
                failure = UNREACHABLE
            except LookupError:
                failure = GONE
        return failure

    async def _give(self, place: Answering, question: Question, body: Any) -> str:
        """LookupError when nothing is asked there."""
        lists, path = self._server(place.list, place.login)
        _, found = await lists.ask("GET", path)
        asked = [one for one in found if picking.text(one, place.id)] if isinstance(found, list) else []
        if not asked:
            raise LookupError
        meant = [one for one in asked if _shows(question, picking.text(one, place.about))]
        if len(meant) != 1:
            return SEVERAL
        replies, path = self._server(fill(place.reply, {"id": picking.text(meant[0], place.id)}), place.login)
        status, _ = await replies.ask("POST", path, body)
        return "" if 200 <= status < 300 else GONE if status == 404 else f"The program refuses it (status {status})."

    def _server(self, url: str, login: str) -> tuple[Server, str]:
        found = server(url, login, self._values)
        if found is None:
            raise Failed(url)
        return found


def _body(place: Answering, choice: str) -> Any:
    """What is sent for a choice; None when this place does not know it."""
    bare = re.sub(r"^\W*\d+[.):]\s+", "", choice)
    for pattern, body in place.choices.items():
        if re.search(pattern, choice):
            return loads(fill(body, {"choice": bare}, quoted=True).encode())
    return None


def _shows(question: Question, about: str) -> bool:
    """Is this what the dialog is about? Where nothing says so, it may be."""
    return skeleton(about) in skeleton(question.text)
