"""Exports with several cursors: ranges of creation dates, read side by side, and the proof that nothing is missing."""
