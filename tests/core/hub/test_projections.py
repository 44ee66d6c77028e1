"""Each projection by itself: what it dumps it loads again, with the same indexes, and goes on the same way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.event import Event, Fact
from synapse.hub import facts
from synapse.hub.agents import Agents
from synapse.hub.mailbox import QUEUED, Mailbox
from synapse.hub.tasks import Tasks
from synapse.hub.workspaces import Workspaces
from synapse.projection import Projection, fold

BOXES = ("w/a", "w/b", "a-1", "/kim")
boxes, ids, keys = st.sampled_from(BOXES), st.sampled_from(["m-1", "m-2", "m-3"]), st.sampled_from(["a-1", "a-2"])
NAMES = {"a-1": ("a", "claude-8100"), "a-2": ("b", "codex-8101")}  # nobody has another's name


def message(fact: type[Fact], **more: Any) -> st.SearchStrategy[Fact]:
    return st.builds(fact, id=ids, box=boxes, sender=boxes, **more)


def task(fact: type[Fact], **more: Any) -> st.SearchStrategy[Fact]:
    return st.builds(fact, task=ids, box=boxes, requester=boxes, **more)


def sent(id: str, to: list[str], sender: str, priority: int, silent: bool) -> Fact:
    return facts.Sent(id=id, to=tuple(to), sender=sender, priority=priority, task="" if silent else id)


def joined(key: str, name: int, chosen: bool) -> Fact:
    port = 8099 + int(key[-1])
    return facts.Joined(key=key, name=NAMES[key][name], type="claude", id=f"x-{port}", chosen=chosen, port=port)


def renamed(key: str, name: int, chosen: bool, old_box: str, box: str) -> Fact:
    return facts.Renamed(key=key, name=NAMES[key][name], chosen=chosen, old_box=old_box, box=box)


ANYTHING: st.SearchStrategy[Fact] = st.one_of(
    st.builds(joined, keys, st.integers(0, 1), st.booleans()),
    st.builds(facts.Started, key=keys, child_pid=st.just(7)),
    st.builds(renamed, keys, st.integers(0, 1), st.booleans(), boxes, boxes),
    st.builds(facts.Left, key=keys),
    st.builds(facts.WorkspaceNamed, path=st.sampled_from(["/a", "/b/a"]), name=st.sampled_from(["a", "a-2"])),
    st.builds(sent, ids, st.lists(boxes, min_size=1, max_size=3, unique=True), boxes, st.integers(1, 5), st.booleans()),
    message(facts.Typing, agent=keys),
    *(message(fact) for fact in (facts.Returned, facts.Delivered, facts.OutcomeUnknown, facts.Read, facts.Acknowledged)),
    message(facts.DeadLettered, reason=st.just("expired")),
    task(facts.Submitted, mode=st.sampled_from(["wait", "notify", "silent"]), blocking=st.booleans(), depth=st.integers(1, 8)),
    task(facts.Working, agent=keys),
    task(facts.InputRequired, question=st.just("?"), choices=st.just(("a", "b"))),
    *(task(fact) for fact in (facts.Resumed, facts.WaitEnded)),
    *(task(fact) for fact in (facts.Completed, facts.Failed, facts.Canceled, facts.Rejected)),
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events in any order at all, each thing sent or submitted once: `apply` accepts what was ever written."""
    history: list[Event] = []
    once: set[tuple[str, str]] = set()
    for position, body in enumerate(draw(st.lists(ANYTHING, max_size=30)), 1):
        story = getattr(body, "key", "") or getattr(body, "task", "") or getattr(body, "id", "")
        if isinstance(body, facts.Sent | facts.WorkspaceNamed):
            story = body.id if isinstance(body, facts.Sent) else body.path
        if isinstance(body, facts.Sent | facts.Submitted | facts.Joined | facts.WorkspaceNamed):
            if (body.kind, story) in once:
                continue
            once.add((body.kind, story))
        history.append(Event(position, 0, float(position), body.kind, "a-1", "w", story, body))
    return history


@pytest.mark.parametrize("kind", [Agents, Tasks, Mailbox, Workspaces])
@given(histories(), st.integers(0, 30))
def test_a_dump_that_is_loaded_goes_on_like_the_fold(kind: Any, history: list[Event], cut: int) -> None:
    whole: Projection = kind()
    part: Projection = kind()
    fold([whole], history)
    fold([part], history[:cut])
    loaded: Projection = kind()
    loaded.load(part.dump())
    assert vars(loaded) == vars(part)
    fold([loaded], history[cut:])
    assert vars(loaded) == vars(whole)


@pytest.mark.parametrize("kind", [Agents, Tasks, Mailbox, Workspaces])
@given(histories())
def test_a_reset_is_the_state_before_the_first_event(kind: Any, history: list[Event]) -> None:
    projection: Projection = kind()
    fold([projection], history)
    projection.reset()
    assert vars(projection) == vars(kind())


@given(histories())
def test_the_indexes_of_the_mailbox_agree_with_its_messages(history: list[Event]) -> None:
    mailbox = Mailbox()
    fold([mailbox], history)
    for box in BOXES:
        messages = mailbox.of(box)
        assert mailbox.queued(box) == sum(m.state == QUEUED for m in messages)
        assert {(m.box, m.id) for m in mailbox.sent_by(box)} == {(m.box, m.id) for m in mailbox if m.sender == box}
        assert mailbox.newer(box, 0) == messages
    assert len(mailbox) == len(list(mailbox))


@given(histories())
def test_the_indexes_of_the_tasks_agree_with_the_tasks(history: list[Event]) -> None:
    tasks = Tasks()
    fold([tasks], history)
    for box in BOXES:
        assert {t.id for t in tasks.of(box)} == {t.id for t in tasks.live.values() if t.box == box}
    assert set(tasks.waited_for) == {t.id for t in tasks.live.values() if t.mode == "wait"}
    assert all(tasks.current(key) is None or tasks.current(key) in tasks.live.values() for key in ("a-1", "a-2"))


@pytest.mark.parametrize("kind", facts.CORE)
def test_every_kind_of_the_core_is_named_in_the_past_tense_and_told_to_its_parties(kind: type[Fact]) -> None:
    area, _, word = kind.kind.partition(".")
    assert area in {
        "hub",
        "workspaces",
        "agents",
        "messages",
        "cursors",
        "tasks",
        "prompts",
        "offers",
        "log",
        "external",
        "push",
        "webhooks",
    }
    assert word.endswith(("ed", "made", "withdrawn", "en", "read", "sent", "left", "typing", "unknown", "working"))
    assert (kind.__doc__ or "").endswith(".")
