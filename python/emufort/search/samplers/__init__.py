"""Samplers, which propose the next candidates of a search."""
