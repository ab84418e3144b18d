"""The state of a listing at one page, as text for a checkpoint: what another run needs besides the cursor."""

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListingToken:
    """The state of a loop guard at one page, for another run that resumes after that page.

    Creating a token is cheap: tokens share their contents. Only `dump` takes some time.

    Attributes:
        steps: pages since the anchor was replaced.
        steps_to_anchor: pages after which it is replaced.
        anchor: fingerprint of the cursor that Brent's cycle algorithm keeps.
        first: fingerprint of the first page; empty before it.
        blocks: fingerprints of the recent cursors, oldest first, joined in blocks.
        forgotten_bytes: bytes of the first block that are not recent any more.
        tail: fingerprints after the blocks.
        sample: halvings, score and marks of the sample of listed contacts.
    """

    steps: int
    steps_to_anchor: int
    anchor: bytes
    first: bytes
    blocks: tuple[bytes, ...]
    forgotten_bytes: int
    tail: bytes
    sample: tuple[int, int, frozenset[int]]

    def dump(self) -> str:
        """Return the token as text. `LoopGuard.load` reads it."""
        recent = b"".join((*self.blocks, self.tail))[self.forgotten_bytes :].hex()
        marks = f"{self.anchor.hex()}:{self.first.hex()}:{recent}"
        return f"{self.steps}:{self.steps_to_anchor}:{marks}:{dump_sample(*self.sample)}"


def dump_sample(level: int, score: int, marks: frozenset[int]) -> str:
    """Return a sample of listed contacts as text. `Repeats.load` reads it."""
    return f"{level}.{score}.{struct.pack(f'>{len(marks)}I', *sorted(marks)).hex()}"
