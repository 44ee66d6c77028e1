"""A text by its visible characters alone: found again in any layout."""

import unicodedata

TAIL = 12  # characters by which the end of a typed text is found again
NO_WIDTH = ("Mn", "Me", "Cf", "Cc")


def skeleton(text: str) -> str:
    """What is left of a text in any layout: no spaces, no frames, and no marks that terminals compose or drop."""
    return "".join(
        character
        for character in unicodedata.normalize("NFD", text)
        if not (character.isspace() or "─" <= character <= "▟" or unicodedata.category(character) in NO_WIDTH)
    )
