"""Scripts that measure: every figure in the documents comes from one.

Run them from the top folder of the repository, such as ``python -m benchmarks.headline skill``.
"""
