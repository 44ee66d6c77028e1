"""How a command fails: one sentence on standard error, an exit status other than 0, no traceback for what is no bug."""

import os

from synapse.client.lines import dumps
from synapse.errors import BadRequest, Refused, SynapseError

OK, FAILED, USAGE, TIME_OVER, NOT_EXECUTABLE, NOT_FOUND, INTERRUPTED = 0, 1, 2, 124, 126, 127, 130


def guarded(run: object, values: "dict[str, object]") -> int:
    """Run a command's function; its exit status."""
    assert callable(run)
    try:
        if "SYNAPSE_URL" in values:
            _go_elsewhere(values)
        return run(**values) or 0
    except SynapseError as error:
        return told(error, bool(values.get("as_json")))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED  # whoever read us is gone
    except FileNotFoundError:
        if _somewhere():
            raise
        gone = Refused("no_folder", "The folder that you are in is not there any more: go to another.")
        return told(gone, bool(values.get("as_json")))


def _go_elsewhere(values: "dict[str, object]") -> None:
    """--url, --token and --token-file set their variables; a hub that was named beats the one that is usual here."""
    url, token, file = (values.pop(name) for name in ("SYNAPSE_URL", "SYNAPSE_TOKEN", "SYNAPSE_TOKEN_FILE"))
    environ = os.environ
    if "" in (token, file):
        option = "--token" if token == "" else "--token-file"
        raise BadRequest("bad_token", f"{option} is empty: is the variable that it comes from set?")
    if token and file:
        raise BadRequest("two_tokens", "Give --token or --token-file, not both.")
    if url:
        environ["SYNAPSE_URL"] = str(url)
        environ.pop("SYNAPSE_SOCKET", None)
    elif (token or file) and not environ.get("SYNAPSE_URL"):
        raise BadRequest("no_url", "A token is for a hub at an address: give --url too, or set SYNAPSE_URL.")
    if token or file:
        environ["SYNAPSE_TOKEN"], environ["SYNAPSE_TOKEN_FILE"] = str(token or ""), str(file or "")


def _somewhere() -> bool:
    """Is there a current folder?"""
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def told(error: SynapseError, as_json: bool) -> int:
    """Say what went wrong: 2 when the words were wrong, 1 otherwise."""
    if as_json:
        say(dumps({"error": {"code": error.code, "message": error.sentence, **error.details}}))
    else:
        say(f"synapse: {error.sentence}\n".encode("utf-8", "replace"))
    return USAGE if isinstance(error, BadRequest) else FAILED


def say(line: bytes) -> None:
    """Write on standard error, if there is one."""
    try:
        os.write(2, line)
    except OSError:
        pass  # nobody wants to hear it
