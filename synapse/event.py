"""Events: facts in the past tense, small and flat, which are kept for ever."""

from typing import Any, ClassVar

from msgspec import Raw, Struct, json


class Fact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an event of one kind; subclasses declare `kind`.

    Kinds live for ever: a field is only ever added, with a default; a change of meaning is a new kind.
    """

    kind: ClassVar[str] = ""

    @property
    def parties(self) -> tuple[str, ...]:
        """The participants that it concerns beside its author: who may follow it, and whose waits it may end."""
        return ()


class Event(Struct, frozen=True):
    """One fact in the log, addressed `position.index`.

    `at` is seconds since 1970 and never runs backwards; `by` is the key of the participant who caused it; `story` names
    the thing whose life it belongs to (a task, a message, an agent), by which it is kept and forgotten.
    `body` is a Fact, or the bytes as they were stored where the kind is unknown here.
    """

    position: int
    index: int
    at: float
    kind: str
    by: str
    workspace: str
    story: str
    body: Any

    @property
    def address(self) -> str:
        return f"{self.position}.{self.index}"


class Kinds:
    """The kinds that this process knows, and how to read their bodies."""

    def __init__(self, *facts: type[Fact]) -> None:
        self._types: dict[str, type[Fact]] = {}
        self._decoders: dict[str, json.Decoder[Any]] = {}
        self.add(*facts)

    def add(self, *facts: type[Fact]) -> None:
        """Learn more kinds; a kind that is declared twice is a bug."""
        for fact in facts:
            if not fact.kind or fact.kind in self._types:
                raise ValueError(f"{fact.__name__}: kind {fact.kind!r} is missing or already declared")
            self._types[fact.kind] = fact
            self._decoders[fact.kind] = json.Decoder(fact)

    def __iter__(self) -> Any:
        return iter(self._types.values())

    def decode(self, kind: str, body: bytes) -> Any:
        """A stored body as its Fact; as raw JSON where the kind is not known."""
        decoder = self._decoders.get(kind)
        return Raw(body) if decoder is None else decoder.decode(body)


_encoder = json.Encoder()


def encode(fact: object) -> bytes:
    """The bytes of a body as they are stored."""
    return _encoder.encode(fact)
