"""A finished export as one page to read: what is in it, and how it came about."""
