"""Observation of a run: events, log records, metrics and a timeline."""
