"""The manifest: who can do what; and who of them gets a task that is sent to a class (`class:NAME`)."""

from msgspec import field

from synapse.errors import BadRequest, NotFound
from synapse.hub.agents import Agent, Agents
from synapse.hub.looking import presence_of, status_of
from synapse.hub.loop import Call
from synapse.hub.mailbox import Mailbox
from synapse.hub.offers import OfferRow, Offers, offer_row
from synapse.hub.tasks import Tasks
from synapse.verb import Reply, Request, Verb, read

CLASS = "class:"  # how a target begins that means whoever advertises the task class
READY = frozenset({"READY", "DONE"})


def route(call: Call, target: str) -> tuple[str, Agent]:
    """The box, and who owns it, that a `class:NAME` means now: the idle first, then the shortest queue, then by name.

    NotFound lists the classes that there are.
    """
    name = target[len(CLASS) :].strip().lower()
    if not name:
        raise BadRequest("no_class", f"Say which class: {CLASS}NAME. `synapse manifest` shows them.")
    agents, offers = call.state(Agents), call.state(Offers)
    taking = [agents.get(key) for key in offers.taking(name)]
    found = [a for a in taking if a is not None and a.workspace in (call.workspace, "") and a.key != call.by]
    if not found:
        raise _nobody(call, name)
    best = min(found, key=lambda agent: (*_load(call, agent), agent.name, agent.key))
    return best.box, best


def _load(call: Call, agent: Agent) -> tuple[int, int]:
    """How soon an agent could begin: 0 idle, 1 at work, 2 not here; and how much lies before it."""
    here = call.hub.sessions.here(agent.key)
    busy = call.state(Tasks).current(agent.key) is not None
    ready = not agent.wrapped or status_of(call.hub, agent).status in READY
    before = max(len(call.state(Tasks).of(agent.box)), call.state(Mailbox).queued(agent.box))
    return (2 if not here else 0 if ready and not busy and not before else 1), before


def _nobody(call: Call, name: str) -> NotFound:
    agents, offers = call.state(Agents), call.state(Offers)
    others = (a for a in agents if a.workspace in (call.workspace, "") and a.key != call.by)
    classes = sorted({one for agent in others for one in offers.card(agent.key).task_classes})
    known = f"There is {', '.join(classes[:20])}." if classes else "Nobody advertises any."
    return NotFound(
        "no_such_class",
        f"Nobody else in '{call.workspace}' takes tasks of the class '{name[:80]}'. {known} "
        "`synapse advertise --task-class NAME` does.",
        choices=classes,
    )


class ManifestRequest(Request, kw_only=True):
    """`workspace` "" is the caller's, `*` all."""

    workspace: str = ""


class ManifestEntry(Reply, kw_only=True, omit_defaults=False):
    """A participant with its card and its offers."""

    name: str
    agent_id: str
    agent_type: str
    workspace: str
    status: str
    role: str
    skill_set: str
    description: str
    skills: tuple[str, ...]
    task_classes: tuple[str, ...]
    model: str
    queued: int
    offers: list[OfferRow]


class ManifestReply(Reply, kw_only=True, omit_defaults=False):
    """`task_classes` says for each class who takes it."""

    agents: list[ManifestEntry] = field(default_factory=list)
    task_classes: dict[str, list[str]] = field(default_factory=dict)


@read("agents.manifest")
def manifest(call: Call, request: ManifestRequest) -> ManifestReply:
    """Who can do what: every agent, and every other participant with a card or an offer."""
    place, offers = request.workspace or call.workspace, call.state(Offers)
    entries: list[ManifestEntry] = []
    for agent in call.state(Agents):
        mine, card = offers.of(agent.key), offers.card(agent.key)
        if place not in ("*", agent.workspace) and agent.workspace:
            continue
        if not (agent.takes_work or mine or offers.has_card(agent.key)):
            continue
        presence = presence_of(call.hub, agent)
        entries.append(
            ManifestEntry(
                name=agent.name,
                agent_id=agent.id,
                agent_type=agent.type,
                workspace=agent.workspace,
                status=presence.status or presence.presence,
                role=agent.role,
                skill_set=agent.skill_set,
                description=card.description,
                skills=card.skills,
                task_classes=card.task_classes,
                model=card.model,
                queued=call.state(Mailbox).queued(agent.box),
                offers=[offer_row(offer, agent, call.at) for offer in mine],
            )
        )
    entries.sort(key=lambda entry: (entry.workspace, entry.name))
    classes: dict[str, list[str]] = {}
    for entry in entries:
        for name in entry.task_classes:
            classes.setdefault(name, []).append(entry.name)
    return ManifestReply(agents=entries, task_classes=dict(sorted(classes.items())))


VERBS: tuple[Verb, ...] = (manifest,)
