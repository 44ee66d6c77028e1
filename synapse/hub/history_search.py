"""Searching what was asked and answered by its words, and what the tasks of each agent amount to."""

import re
from collections.abc import Callable
from typing import Any

from msgspec import field, json

from synapse import settings
from synapse.errors import BadRequest, Refused
from synapse.hub.agents import Agents
from synapse.hub.history import Where, check_limit
from synapse.hub.loop import Call
from synapse.verb import Reply, Request, Verb, query

RANKED = 5000  # texts that are ranked; to rank is what a search costs, 1 ms for a thousand
MOST = 32  # words
_PIECES = re.compile(r'"[^"]*"\*?|\S+')


def phrases(query: str) -> list[str]:
    """What a person searches for as FTS5 wants to hear it: `"two words"` in this order, `word*` as a beginning; whatever
    else is typed is words, never syntax. BadRequest when there is nothing to look for."""
    found = []
    for piece in _PIECES.findall(query):
        beginning = "*" if piece.endswith("*") else ""
        bare = piece.replace('"', " ").replace("\0", " ").rstrip("* ").strip()
        if any(sign.isalnum() for sign in bare):
            found.append(f'"{bare}"{beginning}')
    if not found:
        raise BadRequest("bad_query", "Say what to look for: one word at least.")
    if len(found) > MOST:
        raise BadRequest("bad_query", f"{len(found)} words: up to {MOST}.")
    return found


class SearchRequest(Request, kw_only=True):
    """`query`: words, "a phrase", beginning*; with `logic` `or` one of them is enough, with `and` a task has all of them."""

    query: str
    agent: str = ""
    logic: str = "or"
    limit: int = 20
    workspace: str = ""


class Found(Reply, kw_only=True, omit_defaults=False):
    """A task that fits. `snippet` shows in [] what was found, in what was `asked`, `said` or `answered` (`where`)."""

    task_id: str
    agent: str
    requester: str
    state: str
    at: float
    ended_at: float
    where: str
    snippet: str
    rank: float


class SearchReply(Reply, kw_only=True, omit_defaults=False):
    """The best first; `many`: more than 5,000 texts fit, of which only the newest were ranked."""

    tasks: list[Found] = field(default_factory=list)
    many: bool = False


_HITS = (
    " FROM tasks_words CROSS JOIN tasks_texts x ON x.id = tasks_words.rowid JOIN tasks_all t ON t.task = x.task"
    " WHERE tasks_words MATCH ?"
)
_HAS = (
    "t.task IN (SELECT y.task FROM tasks_words CROSS JOIN tasks_texts y ON y.id = tasks_words.rowid"
    " WHERE tasks_words MATCH ?)"
)
_SHOWN = (
    "SELECT t.task, t.box, t.requester, t.state, t.submitted_at, t.ended_at, x.role,"
    f" snippet(tasks_words, 0, '[', ']', '…', 24){_HITS} AND tasks_words.rowid = ?"
)


@query("history.search", tables=("tasks",))
def search(call: Call, request: SearchRequest) -> Callable[[Any], SearchReply]:
    """The tasks in whose texts some words are, the best first, with what was found."""
    if not call.hub.texts_kept:
        raise Refused(
            "history_off", "The words of tasks are not kept here: `history.enabled` (SYNAPSE_HISTORY_ENABLED) is false."
        )
    check_limit(request.limit, 1000)
    if request.logic.lower() not in ("or", "and"):
        raise BadRequest("bad_logic", f"{request.logic[:20]!r}: `or` (one of the words) or `and` (all of them).")
    wanted, where = phrases(request.query), Where(call, request.agent, request.workspace)
    if request.logic.lower() == "and":
        for phrase in wanted:
            where.add(_HAS, phrase)
    words, label = " OR ".join(wanted), call.state(Agents).label
    newest = f"SELECT tasks_words.rowid{_HITS} AND {where} ORDER BY tasks_words.rowid DESC LIMIT 1 OFFSET ?"
    ranked = f"SELECT t.task, tasks_words.rowid, tasks_words.rank{_HITS} AND {where} AND tasks_words.rowid > ?"

    def fetch(db: Any) -> SearchReply:
        behind = db.execute(newest, (words, *where.values, RANKED)).fetchall()
        after = behind[0][0] if behind else 0
        best = _best(db.execute(ranked, (words, *where.values, after)).fetchall())[: request.limit]
        found = []
        for row, score in best:
            for id, box, requester, state, at, ended, role, snippet in db.execute(_SHOWN, (words, row)).fetchall():
                found.append(
                    Found(
                        task_id=id, agent=label(box), requester=label(requester), state=state, at=at, ended_at=ended,
                        where=role, snippet=snippet, rank=round(score, 4),
                    )
                )  # fmt: skip
        return SearchReply(tasks=found, many=bool(behind))

    return fetch


def _best(rows: list[Any]) -> list[tuple[int, float]]:
    """Of each task the text that fits best, with how well all of its texts fit together; the best first, then the newest."""
    scores: dict[str, float] = {}
    texts: dict[str, tuple[float, int]] = {}
    for task, row, rank in rows:
        scores[task] = scores.get(task, 0.0) - rank
        texts[task] = max(texts.get(task, (-1.0, 0)), (-rank, row))
    ordered = sorted(scores, key=lambda task: (-scores[task], -texts[task][1]))
    return [(texts[task][1], scores[task]) for task in ordered]


# -- how much there is


class StatsRequest(Request, kw_only=True):
    """`since`: only tasks that were asked at or after that time, in seconds since 1970."""

    agent: str = ""
    since: float = 0.0
    workspace: str = ""


class AgentStats(Reply, kw_only=True):
    """The tasks of one agent by state. `success` is the part of those that ended well among the completed, failed and
    rejected; `median` the usual time from asking to the end, in seconds; `tokens` what was reported, by kind; `cost`
    what these cost by `history.prices`, absent where one of the kinds has no price."""

    agent: str
    tasks: int = 0
    states: dict[str, int] = field(default_factory=dict)
    success: float | None = None
    median: float | None = None
    tokens: dict[str, int] = field(default_factory=dict)
    cost: float | None = None


class StatsReply(Reply, kw_only=True, omit_defaults=False):
    """Those with most tasks first; `total` is all of them together."""

    agents: list[AgentStats]
    total: AgentStats


@query("history.stats", tables=("tasks",))
def stats(call: Call, request: StatsRequest) -> Callable[[Any], StatsReply]:
    """How many tasks each agent had, how they ended, how long they took, and what they used."""
    agents, where = call.state(Agents), Where(call, request.agent, request.workspace)
    if request.since:
        where.add("t.submitted_at >= ?", request.since)
    sql = f"SELECT t.box, t.state, t.submitted_at, t.ended_at, t.usage FROM tasks_all t WHERE {where}"

    def fetch(db: Any) -> StatsReply:
        prices, total, of = _prices(), _Sum(), dict[str, _Sum]()
        for box, state, at, ended, usage in db.execute(sql, where.values):
            tokens = json.decode(usage, type=dict[str, int]) if usage else {}
            type = _type(agents, box)
            for one in (total, of.setdefault(agents.label(box), _Sum())):
                one.add(type, state, ended - at if ended else None, tokens)
        found = [one.told(agent, prices) for agent, one in of.items()]
        return StatsReply(agents=sorted(found, key=lambda one: (-one.tasks, one.agent)), total=total.told("", prices))

    return fetch


def _type(agents: Agents, box: str) -> str:
    """Which program the owner of a box is: a profile's name."""
    agent = agents.get(box) or agents.at_box(box)
    if agent is not None:
        return agent.type
    return agents.gone[box].type if box in agents.gone else agents.boxes.get(box, "")


class _Sum:
    """What is counted of an agent's tasks."""

    def __init__(self) -> None:
        self._states: dict[str, int] = {}
        self._took: list[float] = []
        self._tokens: dict[tuple[str, str], int] = {}  # by the type of agent and the kind of token

    def add(self, type: str, state: str, took: float | None, tokens: dict[str, int]) -> None:
        self._states[state] = self._states.get(state, 0) + 1
        if took is not None:
            self._took.append(took)
        for kind, count in tokens.items():
            self._tokens[type, kind] = self._tokens.get((type, kind), 0) + count

    def told(self, agent: str, prices: dict[str, float]) -> AgentStats:
        states, tokens = self._states, dict[str, int]()
        good = states.get("completed", 0)
        tried = good + states.get("failed", 0) + states.get("rejected", 0)
        for (_, kind), count in self._tokens.items():
            tokens[kind] = tokens.get(kind, 0) + count
        known = {key: prices.get(".".join(key), prices.get(key[1])) for key in self._tokens}
        cost = sum(count * (known[key] or 0.0) for key, count in self._tokens.items()) / 1e6
        return AgentStats(
            agent=agent, tasks=sum(states.values()), states=states, success=round(good / tried, 4) if tried else None,
            median=round(_median(self._took), 3) if self._took else None, tokens=tokens,
            cost=round(cost, 4) if known and None not in known.values() else None,
        )  # fmt: skip


def _median(numbers: list[float]) -> float:
    ordered, half = sorted(numbers), len(numbers) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _prices() -> dict[str, float]:
    """What a million tokens cost, by kind or by `profile.kind`. Reads files: not for the loop."""
    chosen = settings.value("history.prices")
    assert isinstance(chosen, tuple)
    prices = {}
    for each in chosen:
        kind, _, price = str(each).partition("=")
        try:
            prices[kind.strip()] = float(price)
        except ValueError:
            raise BadRequest(
                "bad_price", f"history.prices: {each!r} is not KIND=PRICE of a million tokens, such as `input=3`."
            ) from None
    return prices


VERBS: tuple[Verb, ...] = (search, stats)
