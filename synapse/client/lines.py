"""JSON for quick commands: the interpreter's own C parts, without `json`, which brings `re` (a third of a command's time)."""

from _json import encode_basestring, make_encoder, make_scanner


class _Context:
    """What the scanner asks for; the names are the C code's."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: "dict[str, str]" = {}  # noqa: RUF012


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_scan = make_scanner(_Context())  # type: ignore[arg-type]
_encode = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)


def loads(line: bytes) -> object:
    """The value in one line of JSON; ValueError when there is none."""
    try:
        return _scan(line.decode().strip(), 0)[0]
    except StopIteration:
        raise ValueError("not JSON") from None


def dumps(value: object) -> bytes:
    """One line of JSON, with its line feed; a character that UTF-8 does not have becomes `?`."""
    return ("".join(_encode(value, 0)) + "\n").encode("utf-8", "replace")
