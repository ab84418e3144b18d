"""Bounds of arguments, the same for the library and the command."""

MAX_PER_PAGE = 150
MAX_CONSUMERS = 1_000  # far beyond any use
MAX_QUEUE_PAGES = 1_000
MAX_CONCURRENCY = 100
MAX_RESERVE_PERCENT = 90
MAX_CONTACTS = 10**12
MAX_BYTES = 10**18
