"""The test agent (`serve --test-agent`): foreign test clients choose what it does by the id of their message.

It has no terminal: it takes its messages and ends its tasks by the verbs of every agent, in the hub's own process. Nothing
here is its own but its answers.
"""

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import convert, json

from synapse import ids
from synapse.errors import Refused, SynapseError
from synapse.event import Event
from synapse.hub.agents import Agent, Agents
from synapse.hub.blobs import PutRequest, put
from synapse.hub.core import Core
from synapse.hub.ending import end_task
from synapse.hub.facts import Delivered, Failed, Joined, MessageAdded, Part, Sent, Typing, Working
from synapse.hub.inbox import MessageReply, MessageRequest, mine
from synapse.hub.joining import AttachRequest, attach, bury, depart
from synapse.hub.loop import Call, Hub
from synapse.hub.mailbox import QUEUED, Mailbox
from synapse.hub.sessions import Live, Session
from synapse.hub.tasks import ENDS, Tasks
from synapse.verb import Change, Reply, change

logger = logging.getLogger(__name__)

NAME, WORKSPACE = "tck", "default"
BOX = f"{WORKSPACE}/{NAME}"  # of a chosen name: the tasks of one stay are those of the next, too
STEP = 0.05  # seconds between the states of what is streamed
AGAIN = 1.0  # seconds until what could not be stored is tried again
LONG = 5.0  # seconds that a task takes which somebody else wants to subscribe to
DELAY = 2.0  # seconds by which one can tell whether a send waits for the end
FILE = b"Generated file content\n"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What comes of a message: a question, a refusal, or an answer after so many seconds of work; `chunks` are told on the
    way. A direct answer is given before anybody can see a task. `auth`: what it asks for is a login."""

    text: str = ""
    note: str = ""
    parts: tuple[Part, ...] = ()
    file: bool = False
    direct: bool = False
    asks: str = ""
    auth: bool = False
    rejects: str = ""
    chunks: tuple[str, ...] = ()
    works: float = STEP

    @property
    def at_once(self) -> bool:
        """Is nothing to be worked on?"""
        return bool(self.direct or self.asks or self.rejects)


def _named_file(**more: Any) -> Part:
    return Part(filename="output.txt", media_type="text/plain", **more)


BEHAVIOURS = {
    "tck-complete-task": Behaviour(note="Hello from TCK"),
    "tck-delayed-complete": Behaviour(note="Done after delay", works=DELAY),
    "tck-input-required": Behaviour(asks="What else is there to know?"),
    "tck-auth-required": Behaviour(asks="Log it in, then say so.", auth=True),
    "tck-reject-task": Behaviour(rejects="rejected"),
    "tck-message-response": Behaviour(text="Direct message response", direct=True),
    "tck-artifact-text": Behaviour(text="Generated text content"),
    "tck-artifact-file-url": Behaviour(parts=(_named_file(kind="url", value="https://example.com/output.txt"),)),
    "tck-artifact-file": Behaviour(file=True),
    "tck-artifact-data": Behaviour(parts=(Part(kind="data", value='{"key":"value","count":42}'),)),
    "tck-stream-001": Behaviour(text="Stream hello from TCK"),
    "tck-stream-002": Behaviour(note="Done"),
    "tck-stream-003": Behaviour(text="Stream task lifecycle"),
    "tck-stream-ordering-001": Behaviour(text="Ordered output"),
    "tck-stream-artifact-text": Behaviour(text="Streamed text content"),
    "tck-stream-artifact-file": Behaviour(file=True),
    "tck-stream-artifact-chunked": Behaviour(text="chunk-1 chunk-2", chunks=("chunk-1 ", "chunk-2")),
    "test-resubscribe-message-id": Behaviour(text="Done", works=LONG),
    "": Behaviour(text="Done"),
}


def behaviour(message_id: str) -> Behaviour:
    """What the id of a message asks for: the longest prefix counts."""
    return BEHAVIOURS[max((prefix for prefix in BEHAVIOURS if message_id.startswith(prefix)), key=len)]


class StayRequest(Change, kw_only=True):
    """Nothing: there is one such agent at most."""


class StayReply(Reply, kw_only=True):
    key: str


@change("tck.join", internal=True, anonymous=True)
def join(call: Call, request: StayRequest) -> StayReply:
    """The test agent is here, and no other one of its name."""
    if call.state(Agents).named(WORKSPACE, NAME) is not None:
        raise Refused("name_taken", f"--test-agent needs the name '{WORKSPACE}/{NAME}', which somebody has.")
    key = call.by = "a-" + ids.ulid(call.at)
    joined = Joined(
        key=key, name=NAME, type=NAME, id=f"synapse-{NAME}", chosen=True, role="Answers those who test this server."
    )
    call.emit(joined, key, WORKSPACE)
    return StayReply(key=key)


class LeaveReply(Reply, kw_only=True):
    """Is there more to be ended?"""

    more: bool


@change("tck.leave", internal=True, anonymous=True)
def leave(call: Call, request: StayRequest) -> LeaveReply:
    """The test agent is here no more, if it was; nothing waits for the next one, which would not know what it is about."""
    agents = call.state(Agents)
    agent = agents.named(WORKSPACE, NAME)
    if agent is None:
        mine = agents.boxes.get(BOX) == NAME
        return LeaveReply(more=mine and bury(call, BOX, NAME))
    if agent.type != NAME:
        return LeaveReply(more=False)
    call.by, tasks = agent.key, call.state(Tasks)
    current = tasks.current(agent.key)
    for task in tasks.of(agent.box):
        if task.agent == agent.key and task is not current:
            end_task(call, task, Failed, text="The test agent has left.", reason="stopped", source="hub")
    depart(call, agent, "stopped", "The test agent has left.")
    return LeaveReply(more=True)


@change("tck.take", internal=True)
def take(call: Call, request: MessageRequest) -> MessageReply:
    """The message is the test agent's, whatever else it has in its hands: it has no terminal in which one may stand."""
    me, message = mine(call, request.id, "queued")
    call.emit(Typing(id=message.id, box=me.box, sender=message.sender, agent=call.by), message.id)
    call.emit(Delivered(id=message.id, box=me.box, sender=message.sender), message.id)
    task = call.state(Tasks).live.get(message.task)
    if task is not None:
        call.emit(Working(task=task.id, box=task.box, requester=task.requester, agent=call.by), task.id)
    return MessageReply(id=message.id, position=call.reached, state="delivered")


def send_off(core: Core) -> None:
    """What a hub that died has left of a test agent is gone."""
    if core.hub.state.get(Agents).boxes.get(BOX) == NAME:
        _leave(core.hub, Session(key="hub"))


def _leave(hub: Hub, session: Session) -> None:
    while hub.decide(session, leave, StayRequest()).more:
        pass


@dataclass(slots=True)
class _Piece:
    """A message that the agent works on."""

    id: str
    how: Behaviour
    told: list[str] = field(default_factory=list)


class ScriptedAgent:
    """Takes what lies in its box as soon as that is stored, and answers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._hub = core.hub
        self._session = Session(workspace=WORKSPACE, push=self._pushed)
        self._file = ""  # the sum of the file that it gives away
        self._open: dict[str, _Piece] = {}  # by task
        self._closed = False

    async def open(self) -> None:
        """Join and listen; Refused when another has the name."""
        hub = self._hub
        stored = await hub.do(Session(key="hub", system=True), put, PutRequest(content=FILE))
        self._file = json.decode(stored)["blob"]
        send_off(self._core)
        key = hub.decide(self._session, join, StayRequest()).key
        self._session.key = key
        hub.decide(self._session, attach, AttachRequest(key=key, live=Live(status="READY", source="process")))
        hub.on_publish.append(self._published)
        hub.on_folded.append(lambda: self._later(0.0, self._take_up))

    def close(self) -> None:
        """Leave, while the hub can still note it."""
        if self._closed:
            return
        self._closed = True
        if not self._hub.suspended and not self._hub.read_only:
            _leave(self._hub, self._session)
        self._core.gone(self._session)

    @property
    def _agent(self) -> Agent | None:
        return self._hub.state.get(Agents).get(self._session.key)

    # -- what comes

    def _pushed(self, frame: bytes) -> None:
        """Of what a runner hears, only that it is to end: messages are taken when they are stored."""
        if json.decode(frame)["method"] in ("stop", "kill"):
            self._later(0.0, self.close)

    def _published(self, position: int, events: list[Event]) -> None:
        """What has just been stored is answered before anybody can look at it, unless it is to be streamed."""
        me = self._agent
        if me is None or self._closed:
            return
        words = {e.body.task: e.body.id for e in events if isinstance(e.body, MessageAdded) and e.body.box == me.box}
        sent = [e.body for e in events if isinstance(e.body, Sent) and me.box in e.body.to]
        for message in sent:
            self._begin(_Piece(message.id, behaviour(words.pop(message.task, ""))), new=True)
        for task, word in words.items():  # said to a task that it has asked about
            self._begin(_Piece(task, behaviour(word)), new=False)
        for event in events:
            if type(event.body) in ENDS:
                self._open.pop(event.story, None)

    def _begin(self, piece: _Piece, *, new: bool) -> None:
        self._open[piece.id] = piece
        then = partial(self._take, piece) if new else partial(self._work, piece)
        if piece.how.direct:
            self._now(then)
        else:
            self._later(STEP, then)

    def _take_up(self) -> None:
        """What was done last may not have been stored."""
        me, mailbox, tasks = self._agent, self._hub.state.get(Mailbox), self._hub.state.get(Tasks)
        if me is None:
            return
        for piece in list(self._open.values()):
            message, task = mailbox.get(me.box, piece.id), tasks.live.get(piece.id)
            if message is not None and message.state == QUEUED:
                self._take(piece)
            elif task is not None and task.state == "working":
                self._work(piece)

    def _take(self, piece: _Piece) -> None:
        self._ask("tck.take", id=piece.id)
        self._work(piece)

    def _work(self, piece: _Piece) -> None:
        task = self._hub.state.get(Tasks).live.get(piece.id)
        if task is None:
            self._open.pop(piece.id, None)  # it was no task, or is over
        if task is None or task.agent != self._session.key:
            return
        if piece.how.at_once:
            self._end(piece)
        elif piece.how.chunks[len(piece.told) :]:
            self._later(STEP, partial(self._tell, piece))
        else:
            self._later(piece.how.works, partial(self._end, piece))

    def _tell(self, piece: _Piece) -> None:
        chunk = piece.how.chunks[len(piece.told)]
        self._hub.watching.told(piece.id, chunk, bool(piece.told))
        piece.told.append(chunk)
        self._work(piece)

    def _end(self, piece: _Piece) -> None:
        how = piece.how
        if how.asks:
            self._ask("tasks.ask", task=piece.id, question=how.asks, auth=how.auth)
        elif how.rejects:
            self._ask("tasks.reject", task=piece.id, reason=how.rejects)
        else:
            parts = how.parts
            if how.file:
                parts = (_named_file(kind="raw", blobs=(self._file,), size=len(FILE)),)
            self._ask(
                "tasks.complete", task=piece.id, text=how.text, note=how.note, parts=parts, direct=how.direct,
                source="reply",
            )  # fmt: skip

    # -- how it acts

    def _later(self, seconds: float, then: Any) -> None:
        self._hub.loop.call_later(seconds, self._now, then)

    def _now(self, then: Any) -> None:
        if self._closed:
            return
        if self._hub.suspended or self._hub.read_only:
            self._later(AGAIN, then)
        else:
            then()

    def _ask(self, verb: str, **parameters: Any) -> None:
        """Ask one of the hub's verbs; a task that was called off meanwhile is passed over."""
        declared = take if verb == take.name else self._core.verbs.get(verb)
        try:
            self._hub.decide(self._session, declared, convert(parameters, declared.request))
        except SynapseError as error:
            logger.info("the test agent: %s", error)
