"""Measure how well step 1 predicts step 2, see ``__main__.py``."""
