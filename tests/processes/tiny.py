"""Options of a run that takes seconds."""

TINY = """
workers = 2
[labels]
samples = 64
[search]
trials = 2
batch = 2
subset = 32
validation = 16
rungs = [1]
space = { depth = [1, 1], width = [4] }
[retrain]
top = 1
control = 1
steps = 20
longer = 1
[timing]
repeats = 1
[verify]
rows = 20
"""
