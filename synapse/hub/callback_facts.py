"""The kinds of events about who is called when a task changes: for one task (push), for all (webhooks).

Secrets are not in events, for events are shown, mirrored and exported: they lie in a blob that the event names.
"""

from typing import ClassVar

from synapse.event import Fact


class PushConfigured(Fact, frozen=True):
    """Somebody wants to be called when a task changes; the same id again takes the place of the one before. `owed` are
    positions of changes that it is to be told of although they were before it; `over`: nothing will be told any more.
    `spent` is a blob with secrets that are needed no more, here and below."""

    kind: ClassVar[str] = "push.configured"
    task: str
    id: str
    url: str
    owner: str  # the box of who wants it
    scheme: str = ""  # of the Authorization header
    secrets: str = ""  # the blob that holds token and credentials
    version: str = "1.0"  # of the protocol in which it is told
    owed: tuple[int, ...] = ()
    over: bool = False
    spent: str = ""


class PushRemoved(Fact, frozen=True):
    """A task's changes are not told there any more."""

    kind: ClassVar[str] = "push.removed"
    task: str
    id: str
    spent: str = ""


class PushSettled(Fact, frozen=True):
    """Every change up to `position` was told there, or given up; `over`: it was the last."""

    kind: ClassVar[str] = "push.settled"
    task: str
    id: str
    position: int
    over: bool = False


class WebhookAdded(Fact, frozen=True):
    """A URL is called when a task (of the agent at `box`; "": any) has come to one of these ends."""

    kind: ClassVar[str] = "webhooks.added"
    id: str
    url: str
    owner: str
    events: tuple[str, ...] = ()
    secrets: str = ""  # the blob that holds what its calls are signed with
    box: str = ""
    spent: str = ""


class WebhookRemoved(Fact, frozen=True):
    """The URL is not called any more."""

    kind: ClassVar[str] = "webhooks.removed"
    id: str
    spent: str = ""


class WebhookSettled(Fact, frozen=True):
    """What became of one call: an HTTP status, or 0 and why there was none; it is not made again."""

    kind: ClassVar[str] = "webhooks.settled"
    id: str
    task: str
    position: int
    event: str
    status: int = 0
    attempts: int = 1
    error: str = ""


CALLBACKS: tuple[type[Fact], ...] = (
    PushConfigured,
    PushRemoved,
    PushSettled,
    WebhookAdded,
    WebhookRemoved,
    WebhookSettled,
)
