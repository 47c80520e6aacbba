"""Import a network that was trained elsewhere: read its graph, lower it to a plan, export it.

`emufort.importing.importer` is the front; the other modules are its stages in this order: `graph`
reads an ONNX model, `lowering` expresses it as affine maps and activation functions, `planning`
turns these into the plan of a network, `contracts` names its inputs and outputs.
"""
