"""What a program reports by itself, and what that means: the `[[signal]]` tables of its profile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from synapse.runner import picking
from synapse.runner.parts import Rule, Session
from synapse.runner.skeleton import TAIL, skeleton
from synapse.runner.terminal import Signal


@dataclass(frozen=True, slots=True)
class Told:
    """One report, understood."""

    source: str
    event: str = ""
    status: str = ""
    takes: bool = False
    rests: bool = False
    answer: str = ""
    failure: str = ""
    question: str = ""
    choices: tuple[str, ...] = ()
    command: str | None = None  # None: it says nothing of one
    prompt: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    by: str = ""  # where it came from, if it counts as the word of another source

    @property
    def label(self) -> str:
        """What `synapse status` says it was told by."""
        return f"{self.by or self.source} {self.event}".strip()


class Hearing:
    """Understands reports; those of sessions beside the agent's own (titles, helpers of its) are passed over."""

    def __init__(self, rules: Iterable[Rule], session: Session) -> None:
        self.session = ""  # the program's own id of its conversation
        self.file = ""  # the record of it
        self._rules = tuple(rules)
        self._fields = session
        self._own = ""
        self._typed = ""
        self._works = False  # its own session has begun something, and not said yet that it has ended

    def rested(self) -> None:
        """The agent is seen to rest, whatever it said."""
        self._works = False

    def typed(self, text: str) -> None:
        """This was typed: a report that quotes it is of the agent's own session."""
        self._typed = skeleton(text)[-TAIL:]
        self._works = False

    def terminal(self, signal: Signal) -> list[Told]:
        """What the program told its terminal."""
        found = []
        for rule in self._rules:
            if rule.source == signal.name:
                matched = rule.match.search(signal.value) if rule.match else None
                if matched or rule.match is None:
                    found.append(self._understood(rule, "", matched.groupdict() if matched else {}))
        return found[:1]

    def report(self, source: str, event: str, fields: Mapping[str, Any]) -> list[Told]:
        """What a hook or a stream reports: the first rule that fits."""
        for rule in self._rules:
            if rule.source == source and rule.event in ("", event) and picking.matches(fields, rule.when):
                if not self._is_own(rule, fields):
                    return []
                self._learn(fields)
                self._works = rule.status in ("PROCESSING", "WAITING") or (self._works and not rule.status)
                return [self._understood(rule, event, fields)]
        return []

    def _is_own(self, rule: Rule, fields: Mapping[str, Any]) -> bool:
        mark = picking.text(fields, self._fields.same or self._fields.id)
        if not mark:
            return True
        quotes = bool(self._typed) and self._typed in skeleton(picking.text(fields, rule.prompt))
        busy = self._works and bool(self._own)  # then what begins is another copy of the program, run by a tool of it
        if (rule.begins or quotes) and not busy:
            self._own = mark
        elif rule.prompt and not self._own and self._typed:
            return False  # it quotes something else, and nobody knows yet which session is the agent's
        return self._own in ("", mark)

    def _learn(self, fields: Mapping[str, Any]) -> None:
        self.session = picking.text(fields, self._fields.id) or self.session
        self.file = picking.text(fields, self._fields.file) or self.file

    def _understood(self, rule: Rule, event: str, fields: Mapping[str, Any]) -> Told:
        usage = {
            name: count for name, path in rule.usage.items() if (count := picking.number(fields, path)) is not None
        }
        choices = picking.text(fields, rule.choices, "\n")
        return Told(
            rule.counts_as or rule.source,
            event,
            rule.status,
            rule.takes,
            rule.rests,
            answer=picking.text(fields, rule.answer),
            failure=picking.text(fields, rule.failure),
            question=picking.text(fields, rule.question),
            choices=tuple(choices.split("\n")) if choices else (),
            command=picking.text(fields, rule.command) if rule.command else None,
            prompt=picking.text(fields, rule.prompt),
            usage=usage,
            by=rule.source if rule.counts_as else "",
        )
