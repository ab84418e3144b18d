"""Intercom, from the socket to a Page."""
