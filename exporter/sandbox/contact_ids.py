"""Ids of synthetic contacts: each belongs to one serial number, and looks random."""

import hashlib
import struct
from binascii import hexlify
from collections.abc import Sequence

_STEP = 0xD1342543DE82EF95
_INVERSE = pow(_STEP, -1, 2**64)
_MASK = 2**64 - 1
_DIGITS = 24


class ContactIds:
    """The ids of one workspace: 24 hexadecimal digits, as Intercom's.

    Args:
        seed: random seed of the workspace.

    Attributes:
        workspace_id: id of the workspace, eight letters and digits.
    """

    def __init__(self, seed: int) -> None:
        digest = hashlib.sha256(f"workspace:{seed}".encode()).hexdigest()
        self.workspace_id = digest[:8]
        self._prefix = f"6{digest[8:15]}".encode()
        self._mask = int(digest[16:32], 16)

    def of(self, serial: int) -> bytes:
        """Return the id of a serial number."""
        # Multiplying by an odd number and applying the mask both permute the 64-bit integers.
        return b"%b%016x" % (self._prefix, (serial * _STEP & _MASK) ^ self._mask)

    def of_all(self, serials: Sequence[int]) -> list[bytes]:
        """Return the ids of many serial numbers: much faster than `of` for each."""
        prefix, mask = self._prefix, self._mask
        numbers = [(serial * _STEP & _MASK) ^ mask for serial in serials]
        digits = hexlify(struct.pack(f">{len(numbers)}Q", *numbers), b" ", 8).split()
        return [prefix + one for one in digits]

    def serial_of(self, contact_id: str) -> int | None:
        """Return the serial number of an id; None for any other text."""
        prefix = self._prefix.decode()
        digits = contact_id.removeprefix(prefix)
        if len(contact_id) != _DIGITS or len(digits) != _DIGITS - len(prefix):
            return None
        try:
            serial = (int(digits, 16) ^ self._mask) * _INVERSE & _MASK
        except ValueError:
            return None
        # int() accepts more spellings than the ids have ("+1", "F0"): only the exact id is valid.
        return serial if self.of(serial).decode() == contact_id else None
