"""What a command looks like: declared once as plain data, read by the quick parser and by click alike.

Quick commands import this: nothing heavy here.
"""

from synapse.errors import BadRequest


class Option:
    """`--name` with a value, or a flag; `names` are its spellings, the first long one gives the parameter's name.

    `many`: it may be given several times, and is a tuple. `optional`: its value may be left out, and is "" then.
    """

    __slots__ = (
        "choices",
        "default",
        "flag",
        "help",
        "hidden",
        "kind",
        "many",
        "metavar",
        "names",
        "optional",
        "parameter",
    )

    def __init__(
        self,
        *names: str,
        help: str,
        flag: bool = False,
        kind: "type[str] | type[int] | type[float]" = str,
        default: object = None,
        parameter: str = "",
        metavar: str = "",
        choices: "tuple[str, ...]" = (),
        hidden: bool = False,
        many: bool = False,
        optional: bool = False,
    ) -> None:
        self.names = names
        self.help = help
        self.flag = flag
        self.kind = kind
        self.many = many
        self.optional = optional
        self.default = False if flag else () if many else default
        long = next((name for name in names if name.startswith("--")), names[0])
        self.parameter = parameter or long.lstrip("-").replace("-", "_")
        self.metavar = metavar
        self.choices = choices
        self.hidden = hidden  # not in the help: for our own processes


class Argument:
    """A word by its place. `many` takes all that is left, `rest` too, and options among it untouched."""

    __slots__ = ("help", "many", "name", "required", "rest")

    def __init__(self, name: str, *, help: str, required: bool = True, many: bool = False, rest: bool = False) -> None:
        self.name = name
        self.help = help
        self.required = required
        self.many = many or rest
        self.rest = rest


class Command:
    """A command: `run(**parameters)` gives the exit status (None is 0); `example` is shown in its help and run by a test.

    A name of two words (`inbox read`) is a command under another, which is declared too and does what is usual.
    `quick` commands are parsed without click when nothing is unusual about their words.
    """

    __slots__ = ("example", "help", "name", "params", "quick", "run")

    def __init__(
        self,
        name: str,
        run: object,
        help: str,
        *params: "Option | Argument",
        example: str,
        quick: bool = False,
    ) -> None:
        self.name = name
        self.run = run
        self.help = help
        self.params = params
        self.example = example
        self.quick = quick


def declared(name: str) -> "tuple[Command, ...]":
    """The commands of the file in which a name lives, loaded now; none for a name that nobody declares."""
    from synapse.cli import GROUPS

    file = GROUPS.get(name)
    if file is None:
        return ()
    try:
        module = __import__(f"synapse.cli.{file}", fromlist=["COMMANDS"])
    except ModuleNotFoundError as error:
        if error.name != f"synapse.cli.{file}":
            raise
        return ()  # this part is not installed
    commands: tuple[Command, ...] = module.COMMANDS
    return commands


def find(words: "list[str]") -> "tuple[Command | None, list[str]]":
    """The command that a line means, by its first two words or its first, and the words that follow."""
    if not words:
        return None, []
    one, two = None, None
    for command in declared(words[0]):
        if command.name == words[0]:
            one = command
        elif words[1:] and command.name == f"{words[0]} {words[1]}":
            two = command
    return (two, words[2:]) if two is not None else (one, words[1:])


class Unusual(Exception):
    """Words that the quick parser leaves to click: help, mistakes, abbreviations."""


def parse(command: Command, words: "list[str]") -> "dict[str, object]":
    """The parameters in the words of a command line; Unusual whenever click should look at them.

    Held equal to click's own reading by a property test.
    """
    options = {name: param for param in command.params if isinstance(param, Option) for name in param.names}
    values: dict[str, object] = {
        param.parameter: param.default for param in command.params if isinstance(param, Option)
    }
    places: list[str] = []
    index, only_words = 0, False
    while index < len(words):
        word = words[index]
        index += 1
        if only_words or word == "-" or not word.startswith("-"):
            places.append(word)
        elif word == "--":
            only_words = True
        else:
            index = _option(options, values, words, index, word)
    _fill(command, values, places)
    return values


def _option(
    options: "dict[str, Option]", values: "dict[str, object]", words: "list[str]", index: int, word: str
) -> int:
    name, equals, value = word.partition("=")
    option = options.get(name)
    if option is None or option.optional or (equals and (option.flag or not name.startswith("--"))):
        raise Unusual(word)
    if option.flag:
        values[option.parameter] = True
        return index
    if not equals:
        if index >= len(words):
            raise Unusual(word)
        value, index = words[index], index + 1
    if option.choices and value not in option.choices:
        raise Unusual(word)
    try:
        typed = option.kind(value)
        before = values[option.parameter]
        values[option.parameter] = (*before, typed) if isinstance(before, tuple) else typed
    except ValueError:
        raise Unusual(word) from None
    return index


def _fill(command: Command, values: "dict[str, object]", places: "list[str]") -> None:
    for argument in (param for param in command.params if isinstance(param, Argument)):
        if argument.rest:
            raise Unusual(argument.name)
        if argument.many:
            if argument.required and not places:
                raise Unusual(argument.name)
            values[argument.name], places = tuple(places), []
        elif places:
            values[argument.name] = places.pop(0)
        elif argument.required:
            raise Unusual(argument.name)
        else:
            values[argument.name] = None
    if places:
        raise Unusual(places[0])


AS_JSON = Option("--json", flag=True, help="Print JSON.", parameter="as_json")
FROM = Option(
    "--from", help="Speak as this participant (a plain client of that name, if there is none).", parameter="sender"
)
WORKSPACE = Option("--workspace", help="Another workspace than this folder's.")
NO_START = Option("--no-start", flag=True, help="Do not start a hub when none is running.")
# The parameters of these are the variables that they set, for this command: whatever connects looks there.
URL = Option(
    "--url", help="The hub of another machine: http(s)://HOST:PORT; else SYNAPSE_URL.", parameter="SYNAPSE_URL"
)
TOKEN = Option("--token", help="The token to show there; others may see it in `ps`.", parameter="SYNAPSE_TOKEN")
TOKEN_FILE = Option("--token-file", help="A file that holds the token.", metavar="FILE", parameter="SYNAPSE_TOKEN_FILE")
ELSEWHERE = (URL, TOKEN, TOKEN_FILE)
COMMON = (AS_JSON, FROM, WORKSPACE, NO_START, *ELSEWHERE)


LONGEST_TEXT = (1 << 20) - 8192  # bytes of JSON: a frame to the hub holds 1 MiB


def text_of(text: "str | None", file: "str | None", stdin: bool) -> str:
    """A text from the argument, a file, or standard input (`-` or --stdin); BadRequest when there is not just one."""
    if (text is not None) + (file is not None) + bool(stdin) > 1:
        raise BadRequest("two_texts", "Give the text once: as an argument, by --message-file, or by --stdin.")
    if file is not None:
        try:
            with open(file, "rb") as opened:
                found = _decoded(opened.read(), file)
        except OSError as error:
            raise BadRequest("bad_file", f"{file} cannot be read: {error.strerror}.") from None
    elif stdin or text == "-":
        with open(0, "rb", closefd=False) as opened:
            found = _decoded(opened.read(), "Standard input")
    else:
        found = utf8(text or "", "The text")
    _check_length(found)
    return found


def utf8(word: str, what: str) -> str:
    """A word of the command line that must be text; the system hands over any bytes."""
    return _decoded(word.encode("utf-8", "surrogateescape"), what)


def _decoded(content: bytes, what: str) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("not_text", f"{what} is not UTF-8 (byte {error.start}): convert it first.") from None
    if "\0" in text:
        raise BadRequest("not_text", f"{what} holds NUL bytes: that is no text. Send the path of the file instead.")
    return text


def _check_length(text: str) -> None:
    from synapse.client.lines import dumps

    if len(text) > LONGEST_TEXT // 6 and len(dumps(text)) > LONGEST_TEXT:  # a character takes 6 bytes at most
        raise BadRequest(
            "too_large", f"The text is too long ({len(text.encode()) >> 10} kB; 1 MB is the limit): send a file's path."
        )
