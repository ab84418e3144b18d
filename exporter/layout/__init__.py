"""The layout of an export on disk, shared by writers and readers: file names, checkpoint, manifest."""
