"""The network of an emulator: activation functions, plan of operations, architectures, scalers."""
