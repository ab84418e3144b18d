"""How a command reports its progress: on a terminal, as log lines or as JSON events."""
