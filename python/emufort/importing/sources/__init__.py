"""The ways in: every kind of trained network becomes an ONNX model, see `source`.

One module reads one kind; none of them executes anything that a file holds.
"""
