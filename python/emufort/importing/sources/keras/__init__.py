"""Convert Keras models to ONNX, layer by layer, from their configuration and weights.

A .keras file is read without Keras, and nothing in it is executed: the configuration is JSON, the
weights are HDF5, and every layer is one of the table in `layers`. Layers with code of their own,
such as Lambda, are refused.
"""
