"""Agents: who has joined, under which name, id and port; and how a target is found."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from synapse import names
from synapse.errors import BadRequest, NotFound, Refused
from synapse.event import Event
from synapse.hub.facts import Joined, Left, Renamed, Started
from synapse.hub.sessions import Session

SPARE_PORTS = (8150, 8199)
PERSON, CLIENT, EXTERNAL = "person", "client", "external"


class Agent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stay of a participant: a wrapped agent, an agent elsewhere, a plain client, or a person (who is in every
    workspace)."""

    key: str
    name: str
    type: str
    id: str
    workspace: str
    since: float
    chosen: bool = False
    port: int = 0
    role: str = ""
    skill_set: str = ""
    cwd: str = ""
    pid: int = 0
    pid_start: str = ""
    child_pid: int = 0
    child_start: str = ""
    socket: str = ""

    @property
    def box(self) -> str:
        """Where its mail lies: a chosen name's box outlives the stay."""
        return f"{self.workspace}/{self.name}" if self.chosen else self.key

    @property
    def wrapped(self) -> bool:
        """Has it a terminal, that is a runner?"""
        return self.type not in (PERSON, CLIENT, EXTERNAL)

    @property
    def takes_work(self) -> bool:
        """Is it an agent, here or elsewhere?"""
        return self.type not in (PERSON, CLIENT)

    @property
    def label(self) -> str:
        return f"{self.workspace}/{self.name}" if self.workspace else self.name


class Gone(NamedTuple):
    """What is kept of a stay that is over."""

    name: str
    workspace: str
    id: str
    type: str


class _Dump(Struct, array_like=True):
    present: list[Agent]
    gone: dict[str, Gone]
    boxes: dict[str, str]


class Agents:
    """Who is here, and whose boxes there are."""

    name = "agents"
    version = 2
    kinds = frozenset({Joined.kind, Started.kind, Renamed.kind, Left.kind})

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._present: dict[str, Agent] = {}
        self._by_name: dict[str, str] = {}  # workspace/name -> key
        self._by_box: dict[str, str] = {}  # box -> key of who is here
        self._ports: dict[int, str] = {}
        self.gone: dict[str, Gone] = {}  # by key
        self.boxes: dict[str, str] = {}  # every box of a chosen name that there ever was -> the type of its owner

    def apply(self, event: Event) -> None:
        body = event.body
        if isinstance(body, Joined):
            fields = {name: getattr(body, name) for name in Joined.__struct_fields__}
            self._put(Agent(workspace=event.workspace, since=event.at, **fields))
        elif isinstance(body, Started):
            agent = self._present.get(body.key)
            if agent is not None:
                self._present[agent.key] = msgspec.structs.replace(
                    agent, child_pid=body.child_pid, child_start=body.child_start, socket=body.socket
                )
        elif isinstance(body, Renamed):
            agent = self._take(body.key)
            if agent is not None:
                self.boxes.pop(body.old_box, None)  # its mail has moved: the old name means nobody
                self._put(msgspec.structs.replace(agent, name=body.name, chosen=body.chosen))
        elif isinstance(body, Left):
            agent = self._take(body.key)
            if agent is not None:
                self.gone[agent.key] = Gone(agent.name, agent.workspace, agent.id, agent.type)
                if agent.type == EXTERNAL:
                    self.boxes.pop(agent.box, None)  # nothing waits for one that was let go

    def _put(self, agent: Agent) -> None:
        self._present[agent.key] = agent
        self._by_name[f"{agent.workspace}/{agent.name}"] = agent.key
        self._by_box[agent.box] = agent.key
        if agent.port:
            self._ports[agent.port] = agent.key
        if agent.chosen:
            self.boxes[agent.box] = agent.type

    def _take(self, key: str) -> Agent | None:
        agent = self._present.pop(key, None)
        if agent is not None:
            self._by_name.pop(f"{agent.workspace}/{agent.name}", None)
            self._by_box.pop(agent.box, None)
            self._ports.pop(agent.port, None)
        return agent

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(_Dump(list(self._present.values()), self.gone, self.boxes))

    def load(self, state: bytes) -> None:
        dumped = msgspec.msgpack.decode(state, type=_Dump)
        self.reset()
        for agent in dumped.present:
            self._put(agent)
        self.gone, self.boxes = dumped.gone, dumped.boxes

    # -- looking

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._present.values())

    def __len__(self) -> int:
        return len(self._present)

    def get(self, key: str) -> Agent | None:
        return self._present.get(key)

    def named(self, workspace: str, name: str) -> Agent | None:
        return self._present.get(self._by_name.get(f"{workspace}/{name}", ""))

    def at_box(self, box: str) -> Agent | None:
        """Who is here and owns the box."""
        return self._present.get(self._by_box.get(box, ""))

    def box_of(self, session: Session) -> str:
        """Where the mail for whoever asks lies, also before the first change that makes it a participant."""
        agent = self._present.get(session.key)
        if agent is not None:
            return agent.box
        wanted = session.wanted
        if wanted is not None:
            return f"{'' if wanted.type == PERSON else session.workspace}/{wanted.name}"
        return session.key

    def past(self, target: str, workspace: str) -> list[str]:
        """The boxes of automatic names that left, by key, id or name: what `find` finds no more."""
        return [
            key
            for key, gone in self.gone.items()
            if target in (key, gone.id) or (target == gone.name and workspace == gone.workspace)
        ]

    def label(self, key_or_box: str) -> str:
        """A name to show for a key or a box, also of those who left."""
        agent = self._present.get(key_or_box) or self.at_box(key_or_box)
        if agent is not None:
            return agent.name
        if key_or_box in self.gone:
            return self.gone[key_or_box].name
        return key_or_box.rpartition("/")[2]

    def at_port(self, port: int) -> Agent | None:
        """Whose port that is."""
        return self._present.get(self._ports.get(port, ""))

    def free_port(self, first: int, last: int, wanted: int = 0, take: Callable[[int], bool] = lambda port: True) -> int:
        """A port nobody has: the wanted one, else of the profile's range, else a spare one; Refused when all are taken.

        `take` says no to one that another program has.
        """
        if wanted:
            if wanted in self._ports:
                holder = self._present[self._ports[wanted]]
                raise Refused(
                    "port_taken", f"Port {wanted} belongs to {holder.label}: leave out --port, or take another."
                )
            if not take(wanted):
                raise Refused(
                    "port_taken", f"Another program listens on port {wanted}: leave out --port, or take another."
                )
            return wanted
        for low, high in ((first, last), SPARE_PORTS):
            for port in range(low, high + 1):
                if port not in self._ports and take(port):
                    return port
        raise Refused("no_port", f"All agent ports of {first}-{last} and 8150-8199 are taken: stop an agent first.")

    def check_free(self, workspace: str, name: str, own: str = "") -> str:
        """The name in its one form, if nobody has it in the workspace or as an id; `own` is the key of who asks."""
        name = names.check_name(name)
        if name.startswith("synapse-") or any(
            name in (a.id, f"{a.type}-{a.port}") for a in self if a.wrapped and a.key != own
        ):
            raise Refused("reserved_name", f"'{name}' is what an agent's id looks like: choose another name.")
        if self.named(workspace, name) is not None or self.named("", name) is not None:
            raise Refused(
                "name_taken", f"'{name}' is here already in '{workspace or 'every workspace'}': choose another name."
            )
        return name

    # -- finding a target

    def find(self, target: str, workspace: str, person: str = "", *, force: bool = False) -> tuple[str, Agent | None]:
        """The box of a target and who owns it now: by name, id, profile-port, or profile when there is just one.

        `force` also takes the only one of that name in another workspace.
        NotFound lists what could be meant; an ambiguous profile lists the ids.
        """
        if not target:
            raise BadRequest("no_target", "Say who: a name, an id, or a profile. `synapse list` shows them.")
        if target == "me" and person:
            return f"/{person}", self.named("", person)  # a person has a box, here or not
        place, _, name = target.lower().rpartition("/")
        place = place or workspace
        agent = self.named(place, name) or (self.named("", name) if "/" not in target else None)
        if agent is None:
            agent = self._present.get(target) or self._one(name, place)
        if agent is not None:
            return agent.box, agent
        for box in (f"{place}/{name}", f"/{name}"):
            if box in self.boxes:
                return box, None
        elsewhere = [a for a in self._present.values() if a.name == name or (a.type == name and a.wrapped)]
        if force and len(elsewhere) == 1:
            return elsewhere[0].box, elsewhere[0]
        raise self._unknown(target, name, place, sorted(a.label for a in elsewhere))

    def _one(self, name: str, workspace: str) -> Agent | None:
        exact = [a for a in self._present.values() if a.port and name in (a.id, f"{a.type}-{a.port}")]
        if exact:
            return exact[0]
        same = [a for a in self._present.values() if a.type == name and a.workspace == workspace and a.wrapped]
        if len(same) > 1:
            choices = sorted(a.id if not a.chosen else a.name for a in same)
            commands = "".join(f"\n  synapse send {choice} ..." for choice in choices)
            raise Refused("ambiguous", f"There are {len(same)} of '{name}' here. Say which:{commands}", choices=choices)
        return same[0] if same else None

    def _unknown(self, target: str, name: str, workspace: str, elsewhere: list[str]) -> NotFound:
        if elsewhere:
            return NotFound(
                "elsewhere",
                f"'{target}' is not in the workspace '{workspace}'. There is {', '.join(elsewhere[:10])}: send to the "
                f"full name (or with --force), or start one here with `synapse start {name}`.",
                choices=elsewhere,
            )
        here = sorted(a.name for a in self._present.values() if a.workspace in (workspace, ""))
        known = f" Here: {', '.join(here[:20])}." if here else " Nobody is here yet."
        return NotFound(
            "no_such_agent", f"There is no '{target}' in '{workspace}'.{known} `synapse run` starts an agent."
        )

    def match(self, pattern: str, workspace: str) -> list[Agent]:
        """All that a glob (`web/*`, `claude*`) or `all` means: by name in this workspace, or by workspace/name.

        Agents elsewhere are never meant: what goes to them leaves this machine, and takes their name.
        """
        from fnmatch import fnmatchcase

        here = [a for a in self._present.values() if a.type != EXTERNAL]
        if pattern == "all":
            return [a for a in here if a.workspace == workspace]
        full = pattern if "/" in pattern else f"{workspace}/{pattern}"
        return [a for a in here if a.workspace and fnmatchcase(a.label, full)]
