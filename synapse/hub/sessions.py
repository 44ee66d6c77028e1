"""Sessions: who is connected now, and what their runners report; nothing here is durable."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from synapse.hub.facts import Joined
from synapse.verb import Permission


class Live(Struct, kw_only=True, omit_defaults=True):
    """What a runner last said of its agent; it belongs to the session and is reported again after a hub's start.

    `status` is STARTING, READY, PROCESSING, WAITING, RATE_LIMITED, DONE or STOPPED; `source` what it was told by
    (`screen`, `signal`, `process`); `since` seconds since 1970. Of a question that stands on its screen, `prompt` is the
    id, good for this one alone; `approvable`: it can be answered from here; `yes` and `no` are the places of the choices
    that mean so, -1 when none does for certain; `command` what it asks about. `quiet_since`: it works, and has not
    written anything since. `session` is the program's own id of its conversation; `silent` are sources that should have
    spoken and have not.
    """

    status: str = "STARTING"
    source: str = ""
    since: float = 0.0
    preview: str = ""
    question: str = ""
    choices: tuple[str, ...] = ()
    editing_file: str = ""
    holding: str = ""
    endpoint: str = ""
    prompt: str = ""
    approvable: bool = False
    yes: int = -1
    no: int = -1
    command: str = ""
    quiet_since: float = 0.0
    viewed: bool = False
    session: str = ""
    silent: tuple[str, ...] = ()


class Session:
    """One connection. `key` is the participant's, "" until it has joined; `wanted` is how it will join on first need."""

    __slots__ = (
        "admitted",
        "backlog",
        "closed",
        "folder",
        "key",
        "live",
        "offered",
        "permissions",
        "pid",
        "push",
        "runner_of",
        "system",
        "uid",
        "user",
        "version",
        "waits",
        "wanted",
        "when_drained",
        "workspace",
    )

    def __init__(
        self,
        *,
        key: str = "",
        user: str = "",
        workspace: str = "",
        folder: str = "",
        permissions: frozenset[Permission] = frozenset(Permission),
        pid: int = 0,
        uid: int = -1,
        version: str = "",
        wanted: Joined | None = None,
        system: bool = False,
        push: Callable[[bytes], None] = lambda frame: None,
        backlog: Callable[[], int] = lambda: 0,
        when_drained: Callable[[Callable[[], None]], None] = lambda then: then(),
    ) -> None:
        self.key = key
        self.user = user
        self.workspace = workspace
        self.folder = folder  # a project folder that has no name yet
        self.permissions = permissions
        self.pid = pid
        self.uid = uid
        self.version = version
        self.wanted = wanted
        self.system = system  # the hub itself, or one of its plugins
        self.push = push  # sends one frame
        self.backlog = backlog  # bytes that are pushed and not yet sent
        self.when_drained = when_drained  # calls back when the connection has taken most of it
        self.runner_of = ""
        self.offered: set[str] = set()  # messages handed to this runner and not yet typed
        self.live = Live()
        self.waits: dict[Any, None] = {}  # its open waits
        self.admitted: tuple[str, Joined | None] | None = None  # folder and wish, as they were before it was admitted
        self.closed = False

    @property
    def arriving(self) -> bool:
        """Must something be recorded before its first change: its stay, or its folder's name?"""
        return bool(not self.key or self.folder)

    @property
    def admin(self) -> bool:
        return Permission.ADMIN in self.permissions


class Sessions:
    """All connections, by participant and by the agent they run."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[Session]] = {}
        self._runners: dict[str, Session] = {}
        self.watching: set[Session] = set()  # who wants to hear of presence
        self.away_since: dict[str, float] = {}  # key -> monotonic seconds

    def add(self, session: Session) -> None:
        """A participant is here."""
        if session.key and not session.closed:
            self._by_key.setdefault(session.key, set()).add(session)
            self.away_since.pop(session.key, None)

    def remove(self, session: Session, now: float) -> None:
        """A connection ended at `now` (monotonic seconds)."""
        session.closed = True
        self.watching.discard(session)
        self.unkey(session)
        if session.runner_of and self._runners.get(session.runner_of) is session:
            del self._runners[session.runner_of]
            self.away_since[session.runner_of] = now
        elif session.key and not self.here(session.key):
            self.away_since[session.key] = now

    def unkey(self, session: Session) -> None:
        """The connection is not that of this participant (any more)."""
        here = self._by_key.get(session.key)
        if here is not None:
            here.discard(session)
            if not here:
                del self._by_key[session.key]

    def watch(self, session: Session, wanted: bool) -> None:
        """Whether this connection wants to hear who comes, goes and changes."""
        (self.watching.add if wanted and not session.closed else self.watching.discard)(session)

    def run(self, session: Session, key: str) -> None:
        """This connection is from now on the runner of the agent `key`."""
        self.unkey(session)
        session.key = session.runner_of = key
        self._runners[key] = session
        self.away_since.pop(key, None)

    def runner(self, key: str) -> Session | None:
        return self._runners.get(key)

    def runners(self) -> Iterator[Session]:
        return iter(self._runners.values())

    @property
    def running(self) -> int:
        """How many runners are connected."""
        return len(self._runners)

    def of(self, key: str) -> Iterator[Session]:
        """The connections of a participant, its runner's too."""
        yield from self._by_key.get(key, ())
        if key in self._runners:
            yield self._runners[key]

    def here(self, key: str) -> bool:
        """Is there a connection of this participant?"""
        return key in self._by_key or key in self._runners

    def __iter__(self) -> Iterator[Session]:
        for sessions in self._by_key.values():
            yield from sessions
