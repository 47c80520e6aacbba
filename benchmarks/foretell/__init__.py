"""How well step 1 foretells step 2, see ``__main__.py``."""
