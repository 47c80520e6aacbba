"""A run on disk: its folder, its pipeline, and what a person sees of it."""
