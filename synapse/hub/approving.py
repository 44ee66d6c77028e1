"""Approving: the verbs by which the questions on agents' screens are answered, and what came of it."""

import re

from synapse.errors import BadRequest, NotFound, Refused
from synapse.hub.agents import Agent, Agents
from synapse.hub.ending import answer_requester
from synapse.hub.facts import InputRequired, PromptAnswered, PromptClosed
from synapse.hub.loop import Call
from synapse.hub.prompts import Prompts
from synapse.hub.sessions import Live
from synapse.hub.tasks import Tasks
from synapse.verb import Change, Permission, Reply, Verb, Wait, change, wait

OUTCOMES = ("done", "gone", "unsure", "unable")
LONGEST = 2000  # characters of a text in an event

_NUMBER = re.compile(r"\W*(\d+)\W*")
_LETTER = re.compile(r"\((\w)\)(?=\w)")  # of `(A)lways`


class AnswerRequest(Change, kw_only=True):
    """`choice` is a choice's number or text; without it, what means yes, or with `approve` false, what means no."""

    id: str
    choice: str = ""
    approve: bool = True
    reason: str = ""


class AnswerReply(Reply, kw_only=True):
    id: str
    agent: str
    position: int
    choice: str = ""


@change("prompts.answer", Permission.PERSON)
def answer(call: Call, request: AnswerRequest) -> AnswerReply:
    """Answer the question that stands on an agent's screen; its runner presses it, once."""
    agent, live = standing(call, request.id)
    place = place_of(request, live)
    me = call.state(Agents).get(call.by)
    return decide(
        call, agent, live, place, approved=request.approve, reason=request.reason, name=me.name if me else call.by
    )


def decide(
    call: Call, agent: Agent, live: Live, place: int, *, approved: bool, name: str, reason: str = "", rule: str = ""
) -> AnswerReply:
    """Write down how a question is answered; it is handed to the runner once that is stored."""
    task = call.state(Tasks).current(agent.key)
    choice = live.choices[place] if 0 <= place < len(live.choices) else ""
    call.emit(
        PromptAnswered(
            prompt=live.prompt,
            agent=agent.key,
            approved=approved,
            name=name,
            task=task.id if task else "",
            question=live.question[:LONGEST],
            command=live.command,
            choice=choice[:LONGEST],
            place=place,
            reason=reason[:LONGEST],
            rule=rule,
        ),
        live.prompt,
        agent.workspace,
    )
    return AnswerReply(id=live.prompt, agent=agent.name, choice=choice, position=call.reached)


def standing(call: Call, id: str) -> tuple[Agent, Live]:
    """The question of that id, if it stands on a screen, nobody has answered it, and it can be answered from here."""
    given = call.state(Prompts).get(id)
    if given is not None:
        how = f"'{given.choice}'" if given.choice else "yes" if given.approved else "no"
        raise Refused("answered_already", f"{given.name or 'Somebody'} answered that already, with {how}.")
    agents = call.state(Agents)
    for runner in call.hub.sessions.runners():
        agent = agents.get(runner.runner_of)
        if id and runner.live.prompt == id and agent is not None:
            break
    else:
        raise NotFound(
            "no_such_prompt",
            f"There is no question {id[:80]!r} now: it was answered in its terminal, or never stood there. "
            "`synapse waiting` shows what waits.",
        )
    if not runner.live.approvable:
        raise Refused(
            "not_from_here",
            f"How {agent.name} takes the answer is not known: `synapse attach {agent.name}` and type it.",
        )
    return agent, runner.live


def place_of(request: AnswerRequest, live: Live) -> int:
    """Which choice is meant; -1: no choice, but the program's keys for yes or no."""
    if request.choice:
        return _named(request.choice.strip(), live)
    if not request.approve or not live.choices:
        return live.no if not request.approve else -1
    if live.yes < 0:
        raise Refused("say_which", f"Which one is meant? {_shown(live)} `synapse approve {live.prompt} 1`, say.")
    return live.yes


def _named(word: str, live: Live) -> int:
    """The place of the choice with that number or text, or the only one that begins with it or contains it."""
    wanted = word.casefold()
    numbers = [number[1] if (number := _NUMBER.match(choice)) else "" for choice in live.choices]
    bare = [_NUMBER.sub("", choice, count=1) if _NUMBER.match(choice) else choice for choice in live.choices]
    texts = [_LETTER.sub(r"\1", choice).strip().casefold() for choice in bare]
    if not any(numbers):
        numbers = [str(place + 1) for place in range(len(texts))]
    ways: tuple[list[bool], ...]
    if word.isdecimal():
        ways = ([number == word for number in numbers],)
    else:
        ways = (
            [wanted in (text, choice.casefold()) for text, choice in zip(texts, live.choices, strict=True)],
            [text.startswith(wanted) for text in texts],
            [wanted in text for text in texts],
        )
    hits = next((way for way in ways if any(way)), [])
    if sum(hits) != 1:
        several = "several choices are" if any(hits) else "no choice is"
        raise BadRequest("no_such_choice", f"{word[:40]!r}: {several} called that. {_shown(live)}")
    return hits.index(True)


def _shown(live: Live) -> str:
    return f"There is {' / '.join(live.choices)}." if live.choices else "It offers no choices."


# -- what became of it


class ReportRequest(Change, kw_only=True):
    """`outcome` is done, gone (nothing was pressed), unsure (it still stands) or unable."""

    id: str
    outcome: str
    reason: str = ""


class ReportReply(Reply, kw_only=True):
    id: str
    position: int


@change("prompts.report")
def report(call: Call, request: ReportRequest) -> ReportReply:
    """A runner tells what became of an answer that it was handed."""
    prompts, agents = call.state(Prompts), call.state(Agents)
    given = prompts.get(request.id)
    if given is None or given.agent != call.by or not call.session.runner_of:
        raise NotFound("no_such_prompt", "No answer was given to that question of yours.")
    if request.outcome not in OUTCOMES:
        raise BadRequest("bad_outcome", f"{request.outcome[:20]!r}: use {', '.join(OUTCOMES)}.")
    agent = agents.get(given.agent)
    if not given.outcome:
        call.emit(
            PromptClosed(prompt=given.id, agent=given.agent, outcome=request.outcome, reason=request.reason[:LONGEST]),
            given.id,
        )
        if request.outcome in ("unsure", "unable") and agent is not None:
            _still_asked(call, agent, given.id)
        if request.outcome == "done" and not given.approved and given.reason and agent is not None:
            teller = agents.get(given.by)
            answer_requester(
                call, agent.box, f"Rejected: {given.reason}", given.id, role="note", author=teller.box if teller else ""
            )
    return ReportReply(id=given.id, position=call.reached)


def _still_asked(call: Call, agent: Agent, prompt: str) -> None:
    """Nothing came of the answer: a task that went on because of it waits again."""
    task, live = call.state(Tasks).current(agent.key), call.session.live
    if task is not None and task.state == "working" and live.prompt == prompt:
        call.emit(
            InputRequired(
                task=task.id,
                box=task.box,
                requester=task.requester,
                question=live.question[:LONGEST],
                choices=live.choices,
                command=live.command,
            ),
            task.id,
        )


class OutcomeRequest(Wait, kw_only=True):
    id: str


class OutcomeReply(Reply, kw_only=True, omit_defaults=False):
    id: str
    agent: str
    outcome: str
    choice: str = ""
    reason: str = ""


def _watched(call: Call, request: OutcomeRequest) -> tuple[str, ...]:
    given = call.state(Prompts).get(request.id)
    return (request.id, given.agent) if given else (request.id,)


@wait("prompts.wait", watches=_watched)
def outcome(call: Call, request: OutcomeRequest) -> OutcomeReply | None:
    """Wait until a runner has said what became of an answer."""
    given = call.state(Prompts).get(request.id)
    if given is None:
        raise NotFound("no_such_prompt", f"No answer was given to a question {request.id[:80]!r}.")
    if not given.outcome:
        return None
    agent = call.state(Agents).label(given.agent)
    return OutcomeReply(id=given.id, agent=agent, outcome=given.outcome, choice=given.choice, reason=given.reason)


VERBS: tuple[Verb, ...] = (answer, report, outcome)
