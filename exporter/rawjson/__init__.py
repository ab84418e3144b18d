"""JSON taken apart and put together without decoding it."""
