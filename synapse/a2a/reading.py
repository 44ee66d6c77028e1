"""From ProtoJSON to typed requests: names in camelCase or snake_case, numbers as texts, enums as names or numbers, unknown
fields ignored (A2A 1.0 §5.5; https://protobuf.dev/programming-guides/json/)."""

from datetime import UTC
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, inspect

from synapse.a2a.errors import A2AError, invalid

T = TypeVar("T", bound=Struct)
STATES = (
    "TASK_STATE_UNSPECIFIED", "TASK_STATE_SUBMITTED", "TASK_STATE_WORKING", "TASK_STATE_COMPLETED", "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_REJECTED", "TASK_STATE_AUTH_REQUIRED",
)  # fmt: skip
ROLES = ("ROLE_UNSPECIFIED", "ROLE_USER", "ROLE_AGENT")
_MOST = 2**31


class _In(Struct, kw_only=True, rename="camel"):
    """A message of the protocol as it comes in."""


class PartIn(_In, kw_only=True):
    """Exactly one of `text`, `raw` (base64), `url` and `data` is there."""

    text: str | UnsetType = UNSET
    raw: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    data: Any = UNSET
    metadata: dict[str, Any] | None = None
    filename: str = ""
    media_type: str = ""


class MessageIn(_In, kw_only=True):
    message_id: str = ""
    context_id: str = ""
    task_id: str = ""
    role: str | int = ""
    parts: list[PartIn] = []
    metadata: dict[str, Any] | None = None
    extensions: list[str] = []
    reference_task_ids: list[str] = []


class AuthenticationIn(_In, kw_only=True):
    scheme: str = ""
    credentials: str = ""


class PushIn(_In, kw_only=True):
    tenant: str = ""
    id: str = ""
    task_id: str = ""
    url: str = ""
    token: str = ""
    authentication: AuthenticationIn | None = None
    dialect: str = "1.0"  # the version of the protocol in which it was asked for, and is told


class ConfigurationIn(_In, kw_only=True):
    accepted_output_modes: list[str] = []
    task_push_notification_config: PushIn | None = None
    history_length: int | None = None
    return_immediately: bool = False


class SendIn(_In, kw_only=True):
    tenant: str = ""
    message: MessageIn | None = None
    configuration: ConfigurationIn = msgspec.field(default_factory=ConfigurationIn)
    metadata: dict[str, Any] | None = None


class TaskIn(_In, kw_only=True):
    """What names a task: GetTask, CancelTask, SubscribeToTask."""

    tenant: str = ""
    id: str = ""
    history_length: int | None = None
    metadata: dict[str, Any] | None = None


class ListIn(_In, kw_only=True):
    tenant: str = ""
    context_id: str = ""
    status: str | int = ""
    page_size: int | None = None
    page_token: str = ""
    history_length: int | None = None
    status_timestamp_after: str = ""
    include_artifacts: bool = False


class PushNameIn(_In, kw_only=True):
    """What names a push configuration, or those of a task."""

    tenant: str = ""
    id: str = ""
    task_id: str = ""
    page_size: int | None = None
    page_token: str = ""


class CardIn(_In, kw_only=True):
    tenant: str = ""


def read(kind: type[T], found: Any) -> T:
    """The typed request; A2AError (INVALID_PARAMS) names the field that is wrong."""
    if not isinstance(found, dict):
        raise A2AError("INVALID_PARAMS", "The parameters are a JSON object.")
    try:
        return msgspec.convert(_named(kind, found), kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise invalid(where.strip("`.") or "params", what) from None


def _named(kind: type[Struct], found: dict[str, Any]) -> dict[str, Any]:
    """The members that are known, under their camelCase names; what is null is not there."""
    known, renamed = _fields(kind), {}
    for name, value in found.items():
        to = known.get(name)
        if to is None or (value is None and to[0] != "data"):
            continue
        name, inner, many = to
        if inner is not None and many and isinstance(value, list):
            value = [_named(inner, each) if isinstance(each, dict) else each for each in value]
        elif inner is not None and not many and isinstance(value, dict):
            value = _named(inner, value)
        renamed[name] = value
    return renamed


@cache
def _fields(kind: type[Struct]) -> dict[str, tuple[str, type[Struct] | None, bool]]:
    """By either name of a field: its camelCase name, the message it holds, and whether it holds many."""
    found = {}
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        type, many = field.type, False
        if isinstance(type, inspect.ListType):
            type, many = type.item_type, True
        if isinstance(type, inspect.UnionType):
            type = next((one for one in type.types if isinstance(one, inspect.StructType)), type)
        inner = type.cls if isinstance(type, inspect.StructType) else None
        found[field.name] = found[field.encode_name] = (field.encode_name, inner, many)
    return found


def enum(names: tuple[str, ...], given: str | int, field: str) -> str:
    """The name of an enum's value, which may come as its number; "" when it is not there or unspecified."""
    if given in ("", 0, "0", names[0]):
        return ""
    if given in names:
        return str(given)
    number = decimal(str(given))
    if 0 <= number < len(names):
        return names[number]
    raise invalid(field, f"{str(given)[:40]!r} is none of {', '.join(names[1:])}.")


def decimal(given: str) -> int:
    """The number that a few digits are; -1 for anything else, however long it is."""
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 16 else -1


def length(given: int | None, field: str = "historyLength") -> int | None:
    """How many messages of a history are wanted: None is all."""
    if given is not None and not 0 <= given < _MOST:
        raise invalid(field, "it is 0 or more.")
    return given


def whole(given: str, field: str) -> float:
    """Seconds since 1970 of an RFC 3339 timestamp; 0 when it is not there."""
    if not given:
        return 0.0
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(given.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        raise invalid(field, f"{given[:40]!r} is no timestamp like 2026-01-31T12:00:00.000Z.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
