"""The four errors that are shown to people: a stable code, and a sentence that says what to do next.

Everything else that is raised is a bug and keeps its traceback. Quick commands import this: nothing heavy here.
"""


class SynapseError(Exception):
    """What a caller is told: `code` for programs, the sentence for people, `details` for both; `status` is HTTP's."""

    status = 500

    def __init__(self, code: str, sentence: str, **details: object) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.details = details


class BadRequest(SynapseError):
    """The request has the wrong shape; sending it again changes nothing."""

    status = 400


class NotFound(SynapseError):
    """What the request names is not there."""

    status = 404


class Refused(SynapseError):
    """The request is well formed, and the state or a permission forbids it."""

    status = 409


class Unavailable(SynapseError):
    """The answer cannot be had at the moment; the same request may succeed later."""

    status = 503


def from_status(status: int, code: str, sentence: str, details: "dict[str, object]") -> SynapseError:
    """The error that a hub has answered with."""
    kinds: dict[int, type[SynapseError]] = {400: BadRequest, 404: NotFound, 409: Refused, 503: Unavailable}
    error = kinds.get(status, SynapseError)(code, sentence, **details)
    error.status = status
    return error
