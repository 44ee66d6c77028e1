"""The four errors that are shown to people: a stable code, and a sentence that says what to do next.

Everything else that is raised is a bug and keeps its traceback.
"""

from typing import ClassVar


class SynapseError(Exception):
    """What a caller is told: `code` for programs, the sentence for people, `details` for both."""

    status: ClassVar[int] = 500

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
