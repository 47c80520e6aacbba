"""The compiled extensions of the package."""
