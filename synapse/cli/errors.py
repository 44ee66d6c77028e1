"""How a command fails: one sentence on standard error, an exit status other than 0, no traceback for what is no bug."""

import os

from synapse.client.lines import dumps
from synapse.errors import BadRequest, SynapseError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def guarded(run: object, values: "dict[str, object]") -> int:
    """Run a command's function; its exit status."""
    assert callable(run)
    try:
        return run(**values) or 0
    except SynapseError as error:
        return told(error, bool(values.get("as_json")))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED  # whoever read us is gone


def told(error: SynapseError, as_json: bool) -> int:
    """Say what went wrong: 2 when the words were wrong, 1 otherwise."""
    if as_json:
        os.write(2, dumps({"error": {"code": error.code, "message": error.sentence, **error.details}}))
    else:
        os.write(2, f"synapse: {error.sentence}\n".encode("utf-8", "replace"))
    return USAGE if isinstance(error, BadRequest) else FAILED
