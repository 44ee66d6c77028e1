"""Verbs: whatever can be asked, declared once; every face is generated from the declaration."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from synapse.errors import BadRequest, NotFound

INLINE = 32 * 1024  # bytes of content in an event; more becomes a blob


class Permission(Enum):
    """What a caller must be allowed to do."""

    READ = "read"
    WRITE = "write"
    PERSON = "person"  # refused below a runner: an agent does not answer for a person
    ADMIN = "admin"


class Shape(Enum):
    """How a verb is carried out."""

    CHANGE = "change"  # state and request -> events: on memory, on the loop, one record
    READ = "read"  # memory, on the loop
    QUERY = "query"  # chosen on the loop, then read from the log on a reader's thread
    WAIT = "wait"  # a predicate, asked again after each commit that concerns it; bounded, answers `pending`
    SESSION = "session"  # touches only what belongs to the caller's connection; nothing durable


class Request(Struct, kw_only=True, forbid_unknown_fields=True):
    """The typed request of a verb."""


class Change(Request, kw_only=True):
    """The request of a verb that changes something."""

    idempotency_key: str = ""
    idem_key: str = ""  # a synonym


class Wait(Request, kw_only=True):
    """The request of a verb that waits: at most `timeout` seconds, 60 at the most; then the answer is `pending`."""

    timeout: float = 60.0


class Reply(Struct, kw_only=True, omit_defaults=True):
    """The typed reply of a verb."""


class Pending(Reply, kw_only=True, omit_defaults=False):
    """The bounded time of a wait is over and there is no answer yet: ask again."""

    pending: bool = True


Fn = TypeVar("Fn", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Verb:
    """The declaration of one verb.

    `watches` (waits only) names the stories and parties whose events may change the answer;
    `lasting` ones (of shape SESSION) are about a connection that stays, which one HTTP request has not;
    `spill` a field that becomes a blob when it is longer than `spill_over`;
    an `anonymous` change needs no participant behind it; an `internal` verb is the hub's own and has no face.
    """

    name: str
    shape: Shape
    permission: Permission
    request: type[Struct]
    reply: Any
    summary: str
    run: Callable[..., Any]
    watches: Callable[..., Collection[str]] | None = None
    spill: str = ""
    spill_over: int = INLINE
    anonymous: bool = False
    internal: bool = False
    lasting: bool = False
    owner: str = ""  # the plugin whose verb it is
    tables: tuple[str, ...] = ()  # a query that reads these tables of the cache file, not the log

    def parse(self, params: bytes) -> Struct:
        """The request in some JSON, or BadRequest saying where it is wrong."""
        try:
            return msgspec.json.decode(params, type=self.request)
        except msgspec.ValidationError as error:
            hint = self._meant(str(error))
            raise BadRequest(
                "bad_request", f"{self.name}: {error}.{hint} See `synapse help` or the reference."
            ) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadRequest("bad_json", f"{self.name}: the parameters are not JSON: {error}.") from None

    def _meant(self, wrong: str) -> str:
        """The parameter that an unknown one looks like."""
        _, unknown, name = wrong.partition("Object contains unknown field `")
        if not unknown or " - at `" in name:
            return ""
        from difflib import get_close_matches

        near = get_close_matches(name.rstrip("`")[:80], self.request.__struct_encode_fields__, n=1)
        return f" Did you mean `{near[0]}`?" if near else ""


def _types(name: str, shape: Shape, run: Callable[..., Any]) -> tuple[type[Struct], Any]:
    """What the function says that it takes and answers: the faces are made from it."""
    try:
        hints = get_type_hints(run)
    except NameError as error:
        raise ValueError(f"{name}: its annotations are read when it is declared, and there {error}") from None
    request, reply = hints.get("request"), hints.get("return")
    if not (isinstance(request, type) and issubclass(request, Struct)):
        raise ValueError(f"{name} does not say what it takes: `(call, request: SomeRequest)`, a Struct of synapse's")
    if shape is Shape.QUERY:
        parts = get_args(reply)
        if len(parts) != 2 or get_origin(reply) is not Callable:
            raise ValueError(
                f"{name} does not say what it answers: a query is annotated `-> Callable[[Any], SomeReply]`"
            )
        reply = parts[1]
    if "return" not in hints:
        raise ValueError(f"{name} does not say what it answers: annotate it `-> SomeReply`")
    return request, reply


def _declare(shape: Shape, name: str, permission: Permission, **more: Any) -> Callable[[Callable[..., Any]], Verb]:
    def declared(run: Callable[..., Any]) -> Verb:
        request, reply = _types(name, shape, run)
        summary = (run.__doc__ or "").strip().split("\n")[0]
        if not summary:
            raise ValueError(f"{name} needs a sentence that says what it does")
        return Verb(name, shape, permission, request, reply, summary, run, **more)

    return declared


def change(name: str, permission: Permission = Permission.WRITE, **more: Any) -> Callable[[Callable[..., Any]], Verb]:
    """Declare `run(call, request) -> reply`, which says what happened by `call.emit`."""
    return _declare(Shape.CHANGE, name, permission, **more)


def read(name: str, permission: Permission = Permission.READ, **more: Any) -> Callable[[Callable[..., Any]], Verb]:
    """Declare `run(call, request) -> reply`, from memory."""
    return _declare(Shape.READ, name, permission, **more)


def query(name: str, permission: Permission = Permission.READ, **more: Any) -> Callable[[Callable[..., Any]], Verb]:
    """Declare `run(call, request)`: it chooses on the loop and returns `fetch(log) -> reply` for a reader's thread."""
    return _declare(Shape.QUERY, name, permission, **more)


def wait(
    name: str, watches: Callable[..., Collection[str]], permission: Permission = Permission.READ, **more: Any
) -> Callable[[Callable[..., Any]], Verb]:
    """Declare `run(call, request) -> reply | None`; None means: not yet."""
    return _declare(Shape.WAIT, name, permission, watches=watches, **more)


def session(name: str, permission: Permission = Permission.READ, **more: Any) -> Callable[[Callable[..., Any]], Verb]:
    """Declare `run(call, request) -> reply` about the caller's own connection."""
    return _declare(Shape.SESSION, name, permission, **more)


class Verbs:
    """The registry: verbs by name."""

    def __init__(self, *verbs: Verb) -> None:
        self._verbs: dict[str, Verb] = {}
        self.add(*verbs)

    def add(self, *verbs: Verb) -> None:
        for verb in verbs:
            if verb.name in self._verbs:
                raise ValueError(f"the verb {verb.name} is declared twice")
            self._verbs[verb.name] = verb

    def __iter__(self) -> Iterator[Verb]:
        return iter(self._verbs.values())

    def get(self, name: str) -> Verb:
        """The verb of that name, or NotFound with the nearest ones."""
        verb = self._verbs.get(name)
        if verb is None or verb.internal:
            raise NotFound("unknown_verb", f"There is no verb {name[:80]!r}.{self._nearest(name)}")
        return verb

    def _nearest(self, name: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(name[:80], [verb.name for verb in self if not verb.internal], n=3)
        return f" Did you mean {' or '.join(near)}?" if near else " GET /api/openapi.json lists them."
