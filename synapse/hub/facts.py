"""The kinds of events that the core writes.

A box is where mail for a participant lies: `workspace/name` for a chosen name, the agent's key for an automatic one.
`parties` are the boxes and keys that an event concerns beside its author: who may follow it, and whose waits it may end.
"""

from typing import ClassVar

from msgspec import Struct, field

from synapse.event import Fact
from synapse.hub.callback_facts import CALLBACKS
from synapse.hub.external_facts import EXTERNAL


class HubStarted(Fact, frozen=True):
    """A hub began to decide; its position is the epoch of what it writes. Every present agent is away until it reports."""

    kind: ClassVar[str] = "hub.started"
    version: str
    pid: int


class HubStopped(Fact, frozen=True):
    """A hub ended in order."""

    kind: ClassVar[str] = "hub.stopped"


class WorkspaceNamed(Fact, frozen=True):
    """A project folder got its name."""

    kind: ClassVar[str] = "workspaces.named"
    path: str
    name: str


class Joined(Fact, frozen=True):
    """A stay of a participant began. `key` is never used again; `chosen` names own a mailbox that outlives the stay."""

    kind: ClassVar[str] = "agents.joined"
    key: str
    name: str
    type: str  # a profile's name, `client` or `person`
    id: str  # the runtime id, `synapse-<profile>-<port>`, or the name
    chosen: bool = False
    port: int = 0
    role: str = ""
    skill_set: str = ""
    cwd: str = ""
    pid: int = 0
    pid_start: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class Started(Fact, frozen=True):
    """An agent's program runs: its process, and the socket by which its terminal is attached."""

    kind: ClassVar[str] = "agents.started"
    key: str
    child_pid: int = 0
    child_start: str = ""
    socket: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class Spawned(Fact, frozen=True):
    """The hub has started an agent because its author asked for that: for `profile`, and for `task` as its first. `asked`
    is a sum of the request."""

    kind: ClassVar[str] = "agents.spawned"
    key: str
    profile: str = ""
    task: str = ""
    asked: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class Renamed(Fact, frozen=True):
    """A participant has another name; `box` is where its mail lies from now on, `old_box` where it lay."""

    kind: ClassVar[str] = "agents.renamed"
    key: str
    name: str
    chosen: bool
    old_box: str
    box: str

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class Left(Fact, frozen=True):
    """A stay ended; the port and the name are free."""

    kind: ClassVar[str] = "agents.left"
    key: str
    reason: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class Attachment(Struct, frozen=True, kw_only=True):
    """A file that goes with a message: its name, its size in bytes, and the blobs that hold it, in order."""

    name: str
    size: int
    blobs: tuple[str, ...]


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a message or of an answer (A2A 1.0 `Part`). `kind` is `text`, `raw`, `url` or `data` (JSON); what is
    short lies in `value`, what is long and every `raw` in blobs, in order. `metadata` is a JSON object, or ""."""

    kind: str
    value: str = ""
    blobs: tuple[str, ...] = ()
    size: int = 0  # bytes of what is in blobs
    media_type: str = ""
    filename: str = ""
    metadata: str = ""


class Sent(Fact, frozen=True):
    """A message was accepted. `role` says what it is for: `task`, `note`, `answer` or `notification`."""

    kind: ClassVar[str] = "messages.sent"
    id: str
    to: tuple[str, ...]
    sender: str  # the author's box
    role: str = "task"
    task: str = ""
    text: str = ""
    blob: str = ""  # the sum of a text that is too long for the event
    priority: int = 3
    name: str = ""  # the author's name when it was sent
    agent_id: str = ""  # and runtime id
    reply_expected: bool = False
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()

    @property
    def parties(self) -> tuple[str, ...]:
        return (*self.to, self.sender)


class _MessageFact(Fact, frozen=True):
    id: str
    box: str
    sender: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.box, self.sender) if self.sender else (self.box,)


class Typing(_MessageFact, frozen=True):
    """The first byte is about to be typed into the terminal of `agent`: from here on it is never typed again."""

    kind: ClassVar[str] = "messages.typing"
    agent: str = ""


class Returned(_MessageFact, frozen=True):
    """A message that was about to be typed was not; it is back in the queue."""

    kind: ClassVar[str] = "messages.returned"
    reason: str = ""


class Delivered(_MessageFact, frozen=True):
    """A message was typed into its addressee's terminal and submitted."""

    kind: ClassVar[str] = "messages.delivered"


class OutcomeUnknown(_MessageFact, frozen=True):
    """Nobody can say whether the message was submitted; it is not typed again."""

    kind: ClassVar[str] = "messages.outcome_unknown"
    reason: str = ""


class Read(_MessageFact, frozen=True):
    """The addressee has read the message."""

    kind: ClassVar[str] = "messages.read"


class Acknowledged(_MessageFact, frozen=True):
    """The addressee is done with the message: it leaves the inbox."""

    kind: ClassVar[str] = "messages.acknowledged"


class DeadLettered(_MessageFact, frozen=True):
    """A message cannot be delivered any more."""

    kind: ClassVar[str] = "messages.dead_lettered"
    reason: str = ""


class CursorMoved(Fact, frozen=True):
    """A reader has seen everything up to `position`."""

    kind: ClassVar[str] = "cursors.moved"
    name: str
    position: int


class _TaskFact(Fact, frozen=True):
    task: str
    box: str  # whose task it is
    requester: str  # the box of who asked for it

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.box, self.requester)


class Submitted(_TaskFact, frozen=True):
    """A piece of work was asked of an agent. `mode` is how the answer is wanted: `wait`, `notify` or `kept` (with the
    task, where who asked looks for it)."""

    kind: ClassVar[str] = "tasks.submitted"
    mode: str = "notify"
    blocking: bool = False  # the requester is an agent that does nothing else until it is answered
    depth: int = 1
    parent: str = ""  # the requester's own task at that moment
    context: str = ""  # the conversation it belongs to; "": one of its own


class MessageAdded(_TaskFact, frozen=True):
    """A message of a task's conversation, as it came by a protocol. Without `parts` it is its text, which of the first one
    is that of the message sent under the task's id. `metadata` and `extensions` are the protocol's."""

    kind: ClassVar[str] = "tasks.message_added"
    id: str
    role: str = "user"
    text: str = ""
    blob: str = ""
    parts: tuple[Part, ...] = ()
    metadata: str = ""  # a JSON object, or ""
    extensions: tuple[str, ...] = ()
    references: tuple[str, ...] = ()  # ids of other tasks


class Working(_TaskFact, frozen=True):
    """The task is now the one in the terminal (or the hands) of `agent`."""

    kind: ClassVar[str] = "tasks.working"
    agent: str


class InputRequired(_TaskFact, frozen=True):
    """The agent cannot go on without a choice, or (`auth`) before somebody has logged it in somewhere."""

    kind: ClassVar[str] = "tasks.input_required"
    question: str = ""
    choices: tuple[str, ...] = ()
    auth: bool = False
    command: str = ""  # what it asks about, where that is known


class Resumed(_TaskFact, frozen=True):
    """The choice was made; the agent works on."""

    kind: ClassVar[str] = "tasks.resumed"


class WaitEnded(_TaskFact, frozen=True):
    """Whoever waited for the answer is gone: it will be sent as a message instead."""

    kind: ClassVar[str] = "tasks.wait_ended"


class _Ended(_TaskFact, frozen=True):
    text: str = ""
    blob: str = ""
    source: str = ""  # who says so: `reply`, `signal`, `record`, `screen`, `hub`
    usage: dict[str, int] = field(default_factory=dict)  # tokens by kind (`input`, `output` ...), where it is known


class Completed(_Ended, frozen=True):
    """The task was done; `text` is the answer, `parts` what belongs to it beside the text, `note` what is said with the
    state. `direct`: the answer is a message, not the outcome of work."""

    kind: ClassVar[str] = "tasks.completed"
    parts: tuple[Part, ...] = ()
    note: str = ""
    direct: bool = False


class Failed(_Ended, frozen=True):
    """The task failed; `reason` is a stable word, `text` what the agent or its process reported."""

    kind: ClassVar[str] = "tasks.failed"
    reason: str = ""


class Canceled(_Ended, frozen=True):
    """The task was called off."""

    kind: ClassVar[str] = "tasks.canceled"
    reason: str = ""


class Rejected(_Ended, frozen=True):
    """The task was never begun."""

    kind: ClassVar[str] = "tasks.rejected"
    reason: str = ""


class PromptAnswered(Fact, frozen=True):
    """Somebody, or a `rule` of the settings, answered the question on an agent's screen; its runner is to press it."""

    kind: ClassVar[str] = "prompts.answered"
    prompt: str
    agent: str
    approved: bool
    name: str = ""  # who answered, by name
    task: str = ""
    question: str = ""
    command: str = ""
    choice: str = ""
    place: int = -1  # of the choice; -1 where there is none
    reason: str = ""
    rule: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.agent,)


class PromptClosed(Fact, frozen=True):
    """What became of an answer: `done`, `gone` (nothing was pressed), `unsure` (it still stands) or `unable`."""

    kind: ClassVar[str] = "prompts.closed"
    prompt: str
    agent: str
    outcome: str
    reason: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.agent,)


class OfferMade(Fact, frozen=True):
    """A participant offers something, or offers it anew: so much of it, until `expires` (seconds since 1970)."""

    kind: ClassVar[str] = "offers.made"
    id: str
    key: str
    sort: str  # what kind of thing: `gpu`, `browser`, `reviews`
    name: str
    capacity: float = 1.0
    meta: dict[str, str] = field(default_factory=dict)
    expires: float = 0.0

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class OfferWithdrawn(Fact, frozen=True):
    """An offer is over; `reason` is `withdrawn` or `expired`."""

    kind: ClassVar[str] = "offers.withdrawn"
    id: str
    key: str
    reason: str = "withdrawn"

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class Advertised(Fact, frozen=True):
    """A participant's capability card, in place of the one before; an empty one takes it down."""

    kind: ClassVar[str] = "agents.advertised"
    key: str
    description: str = ""
    skills: tuple[str, ...] = ()
    task_classes: tuple[str, ...] = ()
    model: str = ""

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class LogForgotten(Fact, frozen=True):
    """Finished stories were removed from the log."""

    kind: ClassVar[str] = "log.forgotten"
    stories: tuple[str, ...] = ()
    remainder: dict[str, dict[str, int]] = field(default_factory=dict)


class LogRedacted(Fact, frozen=True):
    """The texts of one record were blanked for ever."""

    kind: ClassVar[str] = "log.redacted"
    position: int


CORE: tuple[type[Fact], ...] = (
    HubStarted,
    HubStopped,
    WorkspaceNamed,
    Joined,
    Started,
    Spawned,
    Renamed,
    Left,
    Sent,
    Typing,
    Returned,
    Delivered,
    OutcomeUnknown,
    Read,
    Acknowledged,
    DeadLettered,
    CursorMoved,
    Submitted,
    MessageAdded,
    Working,
    InputRequired,
    Resumed,
    WaitEnded,
    Completed,
    Failed,
    Canceled,
    Rejected,
    PromptAnswered,
    PromptClosed,
    OfferMade,
    OfferWithdrawn,
    Advertised,
    *EXTERNAL,
    *CALLBACKS,
    LogForgotten,
    LogRedacted,
)
