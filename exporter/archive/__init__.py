"""Finished exports: reading, verification, replay and reports."""
