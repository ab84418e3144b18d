"""Encode a page to the bytes of one frame, in any output format. No I/O, no async."""
