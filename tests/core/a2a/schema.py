"""The protocol's schema as the official SDK has it: what is told must fit it, with nothing missing and nothing besides."""

import re
from typing import Any

from a2a.compat.v0_3 import types as old
from a2a.types import a2a_pb2 as pb
from google.api.field_behavior_pb2 import FieldBehavior, field_behavior
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from pydantic import BaseModel

_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
_ONE_OF = (pb.Part, pb.StreamResponse, pb.SendMessageResponse)

RESULTS: dict[str, type[Message] | None] = {  # of the methods of 1.0; None: nothing
    "SendMessage": pb.SendMessageResponse,
    "SendStreamingMessage": pb.StreamResponse,
    "GetTask": pb.Task,
    "ListTasks": pb.ListTasksResponse,
    "CancelTask": pb.Task,
    "SubscribeToTask": pb.StreamResponse,
    "CreateTaskPushNotificationConfig": pb.TaskPushNotificationConfig,
    "GetTaskPushNotificationConfig": pb.TaskPushNotificationConfig,
    "ListTaskPushNotificationConfigs": pb.ListTaskPushNotificationConfigsResponse,
    "DeleteTaskPushNotificationConfig": None,
    "GetExtendedAgentCard": pb.AgentCard,
}
OLD: dict[str, type[BaseModel] | tuple[type[BaseModel], ...] | None] = {  # of the methods of 0.3
    "message/send": (old.Task, old.Message),
    "message/stream": (old.Task, old.Message, old.TaskStatusUpdateEvent, old.TaskArtifactUpdateEvent),
    "tasks/get": old.Task,
    "tasks/cancel": old.Task,
    "tasks/resubscribe": (old.Task, old.Message, old.TaskStatusUpdateEvent, old.TaskArtifactUpdateEvent),
    "tasks/pushNotificationConfig/set": old.TaskPushNotificationConfig,
    "tasks/pushNotificationConfig/get": old.TaskPushNotificationConfig,
    "tasks/pushNotificationConfig/list": old.TaskPushNotificationConfig,
    "tasks/pushNotificationConfig/delete": None,
    "agent/getAuthenticatedExtendedCard": old.AgentCard,
}


def fits(kind: type[Message], told: Any) -> Message:
    """`told` as a message of the protocol: in camelCase, with every required field, and nothing that it does not know."""
    message = ParseDict(told, kind())
    _whole(message, told, kind.__name__)
    _within(told, MessageToDict(message, always_print_fields_with_no_presence=True), kind.__name__)
    return message


def fits_old(kinds: type[BaseModel] | tuple[type[BaseModel], ...], told: Any) -> None:
    """The same of 0.3; of several messages the `kind` says which."""
    several = kinds if isinstance(kinds, tuple) else (kinds,)
    if len(several) > 1:
        several = tuple(one for one in several if one.model_fields["kind"].default == told["kind"])
    (kind,) = several
    _within(told, kind.model_validate(told).model_dump(by_alias=True, mode="json"), kind.__name__)


def answers(method: str, told: dict[str, Any], id: Any = None) -> None:
    """A JSON-RPC response to a method, of either version, is as the protocol has it."""
    assert told["jsonrpc"] == "2.0"
    assert id is None or told["id"] == id
    if "error" in told:
        assert told.keys() == {"jsonrpc", "id", "error"}
        error = told["error"]
        assert error.keys() == {"code", "message", "data"}
        assert isinstance(error["code"], int)
        details(error["message"], error["data"])
        return
    assert told.keys() == {"jsonrpc", "id", "result"}
    if "/" in method:
        of_old, result = OLD[method], told["result"]
        if of_old is None:
            assert result is None
        else:
            for one in result if method.endswith("/list") else [result]:
                fits_old(of_old, one)
        return
    kind = RESULTS[method]
    if kind is None:
        assert told["result"] == {}
    else:
        fits(kind, told["result"])


def refuses(told: dict[str, Any], status: int) -> None:
    """An error of the HTTP+JSON binding."""
    assert told.keys() == {"error"}
    error = told["error"]
    assert error.keys() == {"code", "status", "message", "details"}
    assert error["code"] == status
    assert re.fullmatch(r"[A-Z_]+", error["status"])
    details(error["message"], error["details"])


def details(message: str, data: Any) -> None:
    """What both bindings tell of an error: a sentence, and typed details, the first of them what it is called."""
    assert message.strip()
    assert isinstance(data, list)
    first, *others = data
    assert first["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert re.fullmatch(r"[A-Z][A-Z_]+[A-Z]", first["reason"])
    assert not first["reason"].endswith("ERROR") or first["reason"] == "PARSE_ERROR"
    assert first["domain"] == "a2a-protocol.org"
    assert all(isinstance(value, str) for value in first.get("metadata", {}).values())
    assert first.keys() <= {"@type", "reason", "domain", "metadata"}
    for other in others:
        assert other["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        assert all(one.keys() == {"field", "description"} for one in other["fieldViolations"])


def _whole(message: Message, told: dict[str, Any], where: str) -> None:
    """Every required field is there, and where one of several is to be there, one is."""
    if isinstance(message, _ONE_OF):
        (oneof,) = message.DESCRIPTOR.oneofs
        assert message.WhichOneof(oneof.name), f"{where}: none of its {oneof.name} is there"
    for field in message.DESCRIPTOR.fields:
        name, value = field.json_name, getattr(message, field.name)
        if name not in told:
            assert FieldBehavior.REQUIRED not in field.GetOptions().Extensions[field_behavior], f"{where} lacks {name}"
        elif field.message_type is None or field.message_type.file.package == "google.protobuf":
            continue
        elif field.message_type.GetOptions().map_entry:
            for key, one in told[name].items():
                _whole(value[key], one, f"{where}.{name}[{key}]")
        elif isinstance(told[name], list):
            assert told[name] or name in ("tasks", "configs", "list"), f"{where}.{name} is empty"
            for number, one in enumerate(told[name]):
                _whole(value[number], one, f"{where}.{name}[{number}]")
        else:
            _whole(value, told[name], f"{where}.{name}")


def _within(told: Any, known: Any, where: str) -> None:
    """Everything that was told is what was understood."""
    if isinstance(told, dict):
        assert isinstance(known, dict), where
        for name, value in told.items():
            assert name in known, f"{where} has no {name!r}"
            _within(value, known[name], f"{where}.{name}")
    elif isinstance(told, list):
        assert isinstance(known, list), where
        assert len(told) == len(known), where
        for number, value in enumerate(told):
            _within(value, known[number], f"{where}[{number}]")
    elif where.endswith("timestamp"):
        assert _WHEN.match(told), f"{where}: {told!r}"
    else:
        assert told == known, f"{where}: {told!r} was understood as {known!r}"
