"""Samplers: which candidates to try next."""
