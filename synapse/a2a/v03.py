"""What clients of A2A 0.3 say and hear: its shapes to those of 1.0 and back (JSON-RPC of 0.3.0). Nothing is done here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synapse.a2a import model

STATES = {name: word for word, name in model.STATES.items()}
_ROLES = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}
_SAID = {name: word for word, name in _ROLES.items()}


# -- what they say


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    kind, told = part.get("kind") or part.get("type"), {"metadata": part.get("metadata")}
    if kind == "file" or "file" in part:
        file = part.get("file")
        if not isinstance(file, dict):
            return told
        told |= {"filename": file.get("name"), "mediaType": file.get("mimeType")}
        if "bytes" in file:
            return told | {"raw": file["bytes"]}
        return told | {"url": file.get("uri")}
    if kind == "data" or "data" in part:
        return told | {"data": part.get("data")}
    return told | {"text": part.get("text")}


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    parts, role = message.get("parts"), message.get("role")
    told = {name: value for name, value in message.items() if name != "kind"}
    if isinstance(parts, list):
        told["parts"] = [_part(part) for part in parts]
    if isinstance(role, str):
        told["role"] = _ROLES.get(role, role)
    return told


def _push(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    told, authentication = config | {"dialect": "0.3"}, config.get("authentication")
    if isinstance(authentication, dict):
        schemes = authentication.get("schemes")
        first = schemes[0] if isinstance(schemes, list) and schemes else ""
        told["authentication"] = {"scheme": first, "credentials": authentication.get("credentials")}
    return told


def _send(params: Any) -> Any:
    if not isinstance(params, dict):
        return params
    told: dict[str, Any] = {"message": _message(params.get("message")), "metadata": params.get("metadata")}
    configuration = params.get("configuration")
    if isinstance(configuration, dict):
        blocking = configuration.get("blocking")
        told["configuration"] = {
            "historyLength": configuration.get("historyLength"),
            "acceptedOutputModes": configuration.get("acceptedOutputModes"),
            "returnImmediately": blocking is False,
            "taskPushNotificationConfig": _push(configuration.get("pushNotificationConfig")),
        }
    return told


def _set_push(params: Any) -> Any:
    if not isinstance(params, dict):
        return params
    config = _push(params.get("pushNotificationConfig"))
    return (config if isinstance(config, dict) else {}) | {"taskId": params.get("taskId")}


def _name_push(params: Any) -> Any:
    """0.3 calls the task `id`, and the configuration by its own."""
    if not isinstance(params, dict):
        return params
    return {"taskId": params.get("id"), "id": params.get("pushNotificationConfigId") or params.get("id")}


def _list_push(params: Any) -> Any:
    return {"taskId": params.get("id")} if isinstance(params, dict) else params


def _same(params: Any) -> Any:
    return params


# -- what they hear


def _told_part(part: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"metadata": part["metadata"]} if "metadata" in part else {}
    if "text" in part:
        return {"kind": "text", "text": part["text"]} | told
    if "data" in part:
        data = part["data"]
        return {"kind": "data", "data": data if isinstance(data, dict) else {"value": data}} | told
    file: dict[str, Any] = {"bytes": part["raw"]} if "raw" in part else {"uri": part["url"]}
    if "mediaType" in part:
        file["mimeType"] = part["mediaType"]
    if "filename" in part:
        file["name"] = part["filename"]
    return {"kind": "file", "file": file} | told


def message(message: dict[str, Any]) -> dict[str, Any]:
    """A 0.3 `Message`."""
    parts = [_told_part(part) for part in message["parts"]]
    return message | {"kind": "message", "role": _SAID[message["role"]], "parts": parts}


def _status(status: dict[str, Any]) -> dict[str, Any]:
    told = status | {"state": STATES[status["state"]]}
    if "message" in status:
        told["message"] = message(status["message"])
    return told


def _artifact(artifact: dict[str, Any]) -> dict[str, Any]:
    return artifact | {"parts": [_told_part(part) for part in artifact["parts"]]}


def task(task: dict[str, Any]) -> dict[str, Any]:
    """A 0.3 `Task`."""
    told = task | {"kind": "task", "status": _status(task["status"])}
    if "artifacts" in task:
        told["artifacts"] = [_artifact(artifact) for artifact in task["artifacts"]]
    if "history" in task:
        told["history"] = [message(one) for one in task["history"]]
    return told


def item(item: dict[str, Any]) -> dict[str, Any]:
    """What a stream or a push tells, or what a send answers: bare, told apart by `kind`."""
    if "task" in item:
        return task(item["task"])
    if "message" in item:
        return message(item["message"])
    update: dict[str, Any] = item.get("artifactUpdate") or item["statusUpdate"]
    if "artifactUpdate" in item:
        return update | {"kind": "artifact-update", "artifact": _artifact(update["artifact"])}
    status = _status(update["status"])
    return update | {"kind": "status-update", "status": status, "final": status["state"] in model.RESTING}


def _told_push(config: dict[str, Any]) -> dict[str, Any]:
    inner = {name: value for name, value in config.items() if name not in ("taskId", "authentication")}
    if "authentication" in config:
        given = config["authentication"]
        inner["authentication"] = {"schemes": [given["scheme"]]} | (
            {"credentials": given["credentials"]} if "credentials" in given else {}
        )
    return {"taskId": config["taskId"], "pushNotificationConfig": inner}


def _told_pushes(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [_told_push(config) for config in found["configs"]]


def _nothing(found: Any) -> None:
    return None


def card(card: dict[str, Any]) -> dict[str, Any]:
    """A 0.3 `AgentCard`, made of that of 1.0."""
    first, *others = [
        {"url": one["url"], "transport": one["protocolBinding"]}
        for one in card["supportedInterfaces"]
        if one["protocolBinding"] == "JSONRPC" and one["protocolVersion"] == "0.3"
    ]
    told = {name: value for name, value in card.items() if name not in ("supportedInterfaces", "securityRequirements")}
    capabilities = {name: value for name, value in card["capabilities"].items() if name != "extendedAgentCard"}
    told |= {
        "protocolVersion": "0.3.0",
        "url": first["url"],
        "preferredTransport": first["transport"],
        "additionalInterfaces": [first, *others],
        "capabilities": capabilities | {"stateTransitionHistory": False},
        "supportsAuthenticatedExtendedCard": bool(card["capabilities"].get("extendedAgentCard")),
    }
    if "securitySchemes" in card:
        told["securitySchemes"] = {name: _scheme(scheme) for name, scheme in card["securitySchemes"].items()}
        told["security"] = [
            {name: wanted["list"] for name, wanted in one["schemes"].items()} for one in card["securityRequirements"]
        ]
    return told


def _scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    if "apiKeySecurityScheme" in scheme:
        found = scheme["apiKeySecurityScheme"]
        return {"type": "apiKey", "in": found["location"], "name": found["name"]}
    return {"type": "http", "scheme": scheme["httpAuthSecurityScheme"]["scheme"]}


@dataclass(frozen=True, slots=True)
class Method:
    """A method of 0.3: which one of 1.0 it is, and how parameters and results go over."""

    method: str
    params: Callable[[Any], Any] = _same
    result: Callable[[Any], Any] = item


METHODS = {
    "message/send": Method("SendMessage", _send),
    "message/stream": Method("SendStreamingMessage", _send),
    "tasks/get": Method("GetTask", _same, task),
    "tasks/cancel": Method("CancelTask", _same, task),
    "tasks/resubscribe": Method("SubscribeToTask"),
    "tasks/pushNotificationConfig/set": Method("CreateTaskPushNotificationConfig", _set_push, _told_push),
    "tasks/pushNotificationConfig/get": Method("GetTaskPushNotificationConfig", _name_push, _told_push),
    "tasks/pushNotificationConfig/list": Method("ListTaskPushNotificationConfigs", _list_push, _told_pushes),
    "tasks/pushNotificationConfig/delete": Method("DeleteTaskPushNotificationConfig", _name_push, _nothing),
    "agent/getAuthenticatedExtendedCard": Method("GetExtendedAgentCard"),
}
