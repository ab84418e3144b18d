"""What an export is on disk, known to what writes it and to what reads it: names, checkpoint, manifest."""
