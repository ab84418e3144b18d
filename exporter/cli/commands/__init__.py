"""The commands, a module each: options, help and what the command does."""
