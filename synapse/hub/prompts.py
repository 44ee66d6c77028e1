"""Prompts: the questions that stand on agents' screens, each answered at most once, by a person or by a rule."""

from collections.abc import Collection

import msgspec
from msgspec import Struct, json

from synapse.event import Event
from synapse.hub.facts import Left, LogForgotten, PromptAnswered, PromptClosed
from synapse.hub.loop import Hub
from synapse.hub.sessions import Session

REMEMBERED = 1000  # answers that are over: a second one is told so


class Answer(Struct, kw_only=True, omit_defaults=True):
    """An answer that is decided; its runner has not yet said what became of it."""

    id: str
    agent: str
    approved: bool
    name: str = ""
    by: str = ""
    command: str = ""
    choice: str = ""
    place: int = -1
    reason: str = ""  # why it was rejected; later, why nothing came of the answer
    outcome: str = ""  # once that is known


class _Dump(Struct, array_like=True):
    open: list[Answer]
    over: list[Answer]


class Prompts:
    """Answers by the id of their question: those that are to be pressed, and the newest that are over."""

    name = "prompts"
    version = 1
    kinds = frozenset({PromptAnswered.kind, PromptClosed.kind, Left.kind, LogForgotten.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.open: dict[str, Answer] = {}
        self.over: dict[str, Answer] = {}

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, PromptAnswered):
            self.open[body.prompt] = Answer(
                id=body.prompt,
                agent=body.agent,
                approved=body.approved,
                name=body.name,
                by=event.by,
                command=body.command,
                choice=body.choice,
                place=body.place,
                reason=body.reason,
            )
        elif isinstance(body, PromptClosed):
            self._close(body.prompt, body.outcome, body.reason)
        elif isinstance(body, Left):
            for answer in [one for one in self.open.values() if one.agent == body.key]:
                self._close(answer.id, "gone", "The agent has left.")
        elif isinstance(body, LogForgotten):
            for story in body.stories:
                self.over.pop(story, None)

    def _close(self, id: str, outcome: str, reason: str) -> None:
        answer = self.open.pop(id, None)
        if answer is not None:
            answer.outcome, answer.reason = outcome, reason
            self.over[id] = answer
            while len(self.over) > REMEMBERED:
                del self.over[next(iter(self.over))]

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(_Dump(list(self.open.values()), list(self.over.values())))

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self.open = {answer.id: answer for answer in dumped.open}
        self.over = {answer.id: answer for answer in dumped.over}

    def get(self, id: str) -> Answer | None:
        """The answer that was given to a question."""
        return self.open.get(id) or self.over.get(id)


class _Order(Struct):
    id: str
    choice: int
    approve: bool
    command: str


class _Frame(Struct):
    params: _Order
    method: str = "answer"
    jsonrpc: str = "2.0"


class Answers:
    """Hands each answer to the runner of its agent, after every commit and after every start alike."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._handed: dict[str, Session] = {}
        hub.on_commit.append(self.look)

    def look(self, touched: Collection[str]) -> None:
        """See to the answers that the touched agents have not reported on."""
        hub = self._hub
        if hub.suspended:
            return
        answers = hub.state.get(Prompts).open
        self._handed = {id: session for id, session in self._handed.items() if id in answers}
        for given in answers.values():
            runner = hub.sessions.runner(given.agent)
            if given.agent in touched and runner is not None and self._handed.get(given.id) is not runner:
                self._hand_over(runner, given)

    def look_everywhere(self) -> None:
        self.look([runner.runner_of for runner in self._hub.sessions.runners()])

    def _hand_over(self, runner: Session, given: Answer) -> None:
        frame = json.encode(_Frame(_Order(given.id, given.place, given.approved, given.command)))

        def hand(position: int, what: bytes) -> None:
            self._handed[given.id] = runner
            runner.push(what)

        self._hub.outbox.tell(self._hub.head, hand, frame)
