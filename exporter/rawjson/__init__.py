"""Split and join JSON without decoding it."""
