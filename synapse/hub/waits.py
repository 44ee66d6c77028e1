"""Waits: predicates over the state, asked again after each commit that concerns them."""

from collections.abc import Callable, Collection, Iterable
from typing import Any


class Waiter:
    """One wait: `ask()` gives the answer or None; `topics` are the stories and parties that may change it."""

    __slots__ = ("ask", "done", "timer", "topics")

    def __init__(self, ask: Callable[[], bool], topics: Collection[str]) -> None:
        self.ask = ask  # True when it has answered
        self.topics = topics
        self.timer: Any = None
        self.done = False


class Waits:
    """The open waits by topic."""

    def __init__(self) -> None:
        self._by_topic: dict[str, dict[Waiter, None]] = {}

    def add(self, waiter: Waiter) -> None:
        for topic in waiter.topics:
            self._by_topic.setdefault(topic, {})[waiter] = None

    def remove(self, waiter: Waiter) -> None:
        """Forget a wait, and its timer with it."""
        waiter.done = True
        if waiter.timer is not None:
            waiter.timer.cancel()
        for topic in waiter.topics:
            waiting = self._by_topic.get(topic)
            if waiting is not None:
                waiting.pop(waiter, None)
                if not waiting:
                    del self._by_topic[topic]

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
        """End all waits without an answer: the connections close too."""
        for waiting in list(self._by_topic.values()):
            for waiter in tuple(waiting):
                self.remove(waiter)
