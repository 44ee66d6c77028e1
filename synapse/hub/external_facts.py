"""The kinds of events about agents elsewhere, and what we know of such an agent."""

from typing import ClassVar

from msgspec import Struct

from synapse.event import Fact


class Interface(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where and how an agent elsewhere is spoken to: `binding` is JSONRPC or HTTP+JSON, `version` 1.0 or 0.3."""

    url: str
    binding: str
    version: str
    tenant: str = ""


class RemoteSkill(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that an agent elsewhere says it can do."""

    id: str
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()


class RemoteCard(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What we took from an agent's card: cleaned texts, and the one interface that we use. `url` is where it lies."""

    name: str
    url: str
    interface: Interface
    description: str = ""
    version: str = ""
    streaming: bool = False
    skills: tuple[RemoteSkill, ...] = ()
    security: tuple[str, ...] = ()  # the ways it wants to know who calls, in words


class _ExternalFact(Fact, frozen=True):
    key: str  # the participant's

    @property
    def parties(self) -> tuple[str, ...]:
        return (self.key,)


class ExternalAdded(_ExternalFact, frozen=True):
    """An agent elsewhere became a participant. `secret` names the file with its credentials, `headers` what they are
    sent as; `origin` is where its interface may lie beside the URL's own."""

    kind: ClassVar[str] = "external.added"
    url: str
    card: RemoteCard
    origin: str = ""
    allow_private: bool = False
    insecure: bool = False
    secret: str = ""
    headers: tuple[str, ...] = ()


class ExternalRefreshed(_ExternalFact, frozen=True):
    """Its card was read again, or its credentials are others."""

    kind: ClassVar[str] = "external.refreshed"
    card: RemoteCard
    secret: str = ""
    headers: tuple[str, ...] = ()


class ExternalRemoved(_ExternalFact, frozen=True):
    """It is no participant any more; its credentials are deleted."""

    kind: ClassVar[str] = "external.removed"


class _LinkFact(_ExternalFact, frozen=True):
    task: str


class ExternalLinked(_LinkFact, frozen=True):
    """The agent elsewhere has a task of ours: what it calls the task and the conversation ("" where it has not said)."""

    kind: ClassVar[str] = "external.linked"
    context: str = ""  # our conversation
    remote_task: str = ""
    remote_context: str = ""


class ExternalContextLinked(_ExternalFact, frozen=True):
    """What an agent elsewhere calls a conversation of ours that has several tasks."""

    kind: ClassVar[str] = "external.context_linked"
    context: str
    remote_context: str


class ExternalAnswered(_LinkFact, frozen=True):
    """A later message of the conversation is about to be sent: the one that was stored at `position`, never again."""

    kind: ClassVar[str] = "external.answered"
    position: int = 0


class ExternalReleased(_LinkFact, frozen=True):
    """The agent elsewhere knows that a task is called off, or could not be told for too long."""

    kind: ClassVar[str] = "external.released"


EXTERNAL: tuple[type[Fact], ...] = (
    ExternalAdded,
    ExternalRefreshed,
    ExternalRemoved,
    ExternalLinked,
    ExternalContextLinked,
    ExternalAnswered,
    ExternalReleased,
)
