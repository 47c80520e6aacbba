"""Benchmark scripts; every figure in the documents comes from one of them.

Run them from the top folder of the repository, for example ``python -m benchmarks.headline skill``.
"""
