"""What came back from an agent elsewhere, as parts of an answer here."""

from synapse.a2a.heard import Piece
from synapse.hub.blobs import PIECE, store
from synapse.hub.facts import Part
from synapse.hub.loop import Hub
from synapse.verb import INLINE


async def parts_of(hub: Hub, pieces: list[Piece]) -> tuple[Part, ...]:
    """The parts beside the text; what is long or no text is stored before the event that names it."""
    return tuple([await _part(hub, piece) for piece in pieces])


async def _part(hub: Hub, piece: Piece) -> Part:
    content = piece.content.encode() if isinstance(piece.content, str) else piece.content
    if piece.kind != "raw" and len(content) <= INLINE // 16:
        return Part(kind=piece.kind, value=str(piece.content), media_type=piece.media_type, filename=piece.filename)
    size = PIECE if piece.kind == "raw" else max(len(content), 1)  # a text is read back as one
    blobs = [await store(hub, content[start : start + size]) for start in range(0, len(content), size)]
    return Part(
        kind=piece.kind, blobs=tuple(blobs), size=len(content), media_type=piece.media_type, filename=piece.filename
    )
