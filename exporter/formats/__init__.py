"""A Page -> the bytes of one frame. Pure: no I/O, no async."""
