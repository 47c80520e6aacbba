"""A run on disk: its folder, its pipeline, and its display."""
