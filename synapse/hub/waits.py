"""Waits: predicates over the state, asked again after each commit that concerns them."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from synapse.hub.sessions import Session


class Waiter:
    """One wait: `ask()` answers if it can and says whether it has; `topics` are the stories and parties it depends on."""

    __slots__ = ("ask", "done", "over", "session", "timer", "topics")

    def __init__(self, session: Session, ask: Callable[[], bool], topics: Collection[str]) -> None:
        self.session = session
        self.ask = ask
        self.topics = topics
        self.over: Callable[[], None] = lambda: None  # answers that there is no answer yet
        self.timer: Any = None
        self.done = False


class Waits:
    """The open waits by topic."""

    def __init__(self) -> None:
        self._by_topic: dict[str, dict[Waiter, None]] = {}

    def add(self, waiter: Waiter) -> None:
        waiter.session.waits[waiter] = None
        for topic in waiter.topics:
            self._by_topic.setdefault(topic, {})[waiter] = None

    def remove(self, waiter: Waiter) -> None:
        """Forget a wait, and its timer with it."""
        waiter.done = True
        waiter.session.waits.pop(waiter, None)
        if waiter.timer is not None:
            waiter.timer.cancel()
        for topic in waiter.topics:
            waiting = self._by_topic.get(topic)
            if waiting is not None:
                waiting.pop(waiter, None)
                if not waiting:
                    del self._by_topic[topic]

    def drop(self, session: Session) -> set[str]:
        """Forget the waits of a connection that has ended; the topics that it waited for."""
        topics: set[str] = set()
        for waiter in tuple(session.waits):
            topics.update(waiter.topics)
            self.remove(waiter)
        return topics

    def waiting_for(self, topic: str) -> bool:
        """Does anybody wait for this?"""
        return topic in self._by_topic

    def wake(self, topics: Iterable[str]) -> None:
        """Ask those again whose topics were touched."""
        if not self._by_topic:
            return
        for topic in topics:
            for waiter in tuple(self._by_topic.get(topic, ())):
                if not waiter.done and waiter.ask():
                    self.remove(waiter)

    def wake_all(self) -> None:
        """Ask everybody again: the state was folded anew."""
        self.wake(tuple(self._by_topic))

    def close(self) -> None:
        """End all waits as if their time were over."""
        for waiting in list(self._by_topic.values()):
            for waiter in tuple(waiting):
                if not waiter.done:
                    waiter.over()
