"""What an answer names in Markdown, as data: its fenced code blocks (CommonMark 4.5) and the files in backquotes.

In time that grows with the length of the text alone: an agent's answer is whatever its model wrote.
"""

import re
from typing import Any

_OPENS = re.compile(r"(`{3,}+|~{3,}+)[ \t]*+([\w+#.-]*+)([^\n]*+)")
_FILE = re.compile(r"`((?:[\w.@+-]++/)*+[\w@+-][\w.@+-]*\.[A-Za-z]\w{0,9})(?::\d+)?`")


def named_in(text: str) -> dict[str, Any]:
    """`codeBlocks` with `language` and `code`, and `files`; each only where there are some."""
    blocks, prose = [], []
    fence, language, code = "", "", [""]
    for line in text.removesuffix("\n").split("\n"):
        if fence:
            closing = line.rstrip(" \t")
            if len(closing) >= len(fence) and closing == fence[0] * len(closing):
                blocks.append({"language": language, "code": "".join(code)})
                fence = ""
            else:
                code.append(f"{line}\n")
        elif (opens := _OPENS.match(line)) and not (line[0] == "`" and "`" in opens[3]):
            fence, language, code = opens[1], opens[2], []
        else:
            prose.append(line)
    if fence and code:  # it goes on to the end
        blocks.append({"language": language, "code": "".join(code)})
    files = list(dict.fromkeys(_FILE.findall("\n".join(prose))))
    return ({"codeBlocks": blocks} if blocks else {}) | ({"files": files} if files else {})
