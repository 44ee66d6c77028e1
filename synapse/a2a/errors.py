"""Errors as A2A tells them (A2A 1.0.1 §3.3.2, §5.4, §9.5, §11.6): one table for both bindings."""

from typing import Any

from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable

_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_DOMAIN = "a2a-protocol.org"

# reason: JSON-RPC code, HTTP status, gRPC status
TABLE: dict[str, tuple[int, int, str]] = {
    "TASK_NOT_FOUND": (-32001, 404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": (-32002, 400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": (-32003, 400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": (-32004, 400, "FAILED_PRECONDITION"),
    "CONTENT_TYPE_NOT_SUPPORTED": (-32005, 415, "INVALID_ARGUMENT"),
    "INVALID_AGENT_RESPONSE": (-32006, 500, "INTERNAL"),
    "EXTENDED_AGENT_CARD_NOT_CONFIGURED": (-32007, 400, "FAILED_PRECONDITION"),
    "EXTENSION_SUPPORT_REQUIRED": (-32008, 400, "FAILED_PRECONDITION"),
    "VERSION_NOT_SUPPORTED": (-32009, 400, "FAILED_PRECONDITION"),
    "PARSE_ERROR": (-32700, 400, "INVALID_ARGUMENT"),
    "INVALID_REQUEST": (-32600, 400, "INVALID_ARGUMENT"),
    "METHOD_NOT_FOUND": (-32601, 404, "NOT_FOUND"),
    "INVALID_PARAMS": (-32602, 400, "INVALID_ARGUMENT"),
    "UNAUTHENTICATED": (-32600, 401, "UNAUTHENTICATED"),
    "PERMISSION_DENIED": (-32600, 403, "PERMISSION_DENIED"),
    "RATE_LIMITED": (-32603, 429, "RESOURCE_EXHAUSTED"),
    "TOO_LARGE": (-32600, 413, "INVALID_ARGUMENT"),
    "UNAVAILABLE": (-32603, 503, "UNAVAILABLE"),
    "INTERNAL": (-32603, 500, "INTERNAL"),
}

# What our own refusals are in A2A's words; the rest follows from their class.
_REASONS = {
    "no_such_task": "TASK_NOT_FOUND",
    "not_yours": "TASK_NOT_FOUND",
    "task_ended": "UNSUPPORTED_OPERATION",
    "task_busy": "UNSUPPORTED_OPERATION",
    "not_from_here": "UNSUPPORTED_OPERATION",
    "no_such_prompt": "UNSUPPORTED_OPERATION",
    "answered_already": "UNSUPPORTED_OPERATION",
    "not_permitted": "PERMISSION_DENIED",
    "rate_limited": "RATE_LIMITED",
    "too_large": "TOO_LARGE",
    "no_such_push": "TASK_NOT_FOUND",
    "forbidden_address": "INVALID_PARAMS",
}


class A2AError(Exception):
    """A refusal in A2A's words. `violations` are (field, what is wrong); `code` is our own word for it: the reason's, where
    there is no closer one."""

    def __init__(
        self, reason: str, sentence: str, violations: tuple[tuple[str, str], ...] = (), *, code: str = ""
    ) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
        self.violations = violations
        self.code = code or reason.lower()
        self.retry_after: float = 0.0

    @property
    def status(self) -> int:
        """HTTP's status."""
        return TABLE[self.reason][1]

    def details(self) -> list[dict[str, Any]]:
        """The typed details of both bindings."""
        info = {"@type": _INFO, "reason": self.reason, "domain": _DOMAIN, "metadata": {"code": self.code}}
        found: list[dict[str, Any]] = [info]
        if self.violations:
            fields = [{"field": field, "description": what} for field, what in self.violations]
            found.append({"@type": _BAD_REQUEST, "fieldViolations": fields})
        return found

    def jsonrpc(self) -> dict[str, Any]:
        """The `error` of a JSON-RPC response."""
        return {"code": TABLE[self.reason][0], "message": self.sentence, "data": self.details()}

    def rest(self) -> dict[str, Any]:
        """The body of an HTTP+JSON response."""
        _, status, word = TABLE[self.reason]
        return {"error": {"code": status, "status": word, "message": self.sentence, "details": self.details()}}


def invalid(field: str, what: str) -> A2AError:
    """A parameter that cannot be taken."""
    return A2AError("INVALID_PARAMS", f"{field}: {what}", ((field, what),))


def of(error: SynapseError) -> A2AError:
    """One of our own refusals in A2A's words."""
    reason = _REASONS.get(error.code) or (
        "INVALID_PARAMS" if isinstance(error, BadRequest | NotFound)
        else "UNAVAILABLE" if isinstance(error, Unavailable)
        else "UNSUPPORTED_OPERATION" if isinstance(error, Refused)
        else "INTERNAL"
    )  # fmt: skip
    told = A2AError(reason, error.sentence, code=error.code)
    wait = error.details.get("retry_after")
    told.retry_after = float(wait) if isinstance(wait, int | float) else 0.0
    return told
