"""Layers of Keras that are not convolutions or recurrent, and the table of all layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.importing.sources.keras import convolution, recurrent
from emufort.importing.sources.keras.activations import activation, prelu, relu, softmax
from emufort.importing.sources.keras.call import Call, Tensor, size_of


def _dense(call: Call) -> str:
    kernel, *bias = call.arrays
    found = call.builder.dense(call.x, kernel, bias[0] if bias else None, call.name)
    return activation(call, found)


def _einsum_dense(call: Call) -> str:
    """Convert products over the last dimensions of the input, such as ``abc,cde->abde``."""
    kernel, *bias = call.arrays
    builder = call.builder
    left, _, result = str(call.config["equation"]).replace(" ", "").partition("->")
    x_letters, _, w_letters = left.partition(",")
    kept = x_letters.rstrip("".join(set(w_letters) - set(result)))
    summed = x_letters[len(kept) :]
    free = w_letters[len(summed) :]
    if not summed or w_letters != summed + free or result != kept + free:
        raise call.refusal(f"its equation {call.config['equation']} is not a product of the end")
    n = len(summed)
    weight = kernel.reshape(int(np.prod(kernel.shape[:n])), -1)
    shape = builder.shape(call.x)
    before = shape[: len(shape) - n]
    found = builder.dense(builder.reshaped(call.x, *before, weight.shape[0]), weight, None)
    found = builder.reshaped(found, *before, *kernel.shape[n:])
    return activation(call, builder.shifted(found, bias[0]) if bias else found)


def _activation(call: Call) -> str:
    return activation(call, call.x)


def _same(call: Call) -> str:
    return call.x


def _leaky_relu(call: Call) -> str:
    return call.builder.add("LeakyRelu", call.x, alpha=float(call.config["negative_slope"]))


def _elu(call: Call) -> str:
    return call.builder.add("Elu", call.x, alpha=float(call.config.get("alpha", 1.0)))


def _axis(call: Call, rank: int) -> int:
    axis = call.config.get("axis", -1)
    (found,) = axis if isinstance(axis, list) else [axis]
    return int(found) % rank


def _along(values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """Return values (n,) in a shape that fits dimension `axis` of `rank` dimensions."""
    return values.reshape(-1, *[1] * (rank - 1 - axis))


def _batch_normalisation(call: Call) -> str:
    rank = call.builder.rank(call.x)
    rest = call.arrays
    gamma = rest.pop(0) if call.config.get("scale", True) else np.ones(1)
    beta = rest.pop(0) if call.config.get("center", True) else np.zeros(1)
    mean, variance = rest
    factor = gamma / np.sqrt(variance + float(call.config["epsilon"]))
    axis = _axis(call, rank)
    found = call.builder.scaled(call.x, _along(factor, axis, rank))
    return call.builder.shifted(found, _along(beta - mean * factor, axis, rank))


def _layer_normalisation(call: Call) -> str:
    builder = call.builder
    rank = builder.rank(call.x)
    axis = call.config.get("axis", -1)
    axes = sorted(int(a) % rank for a in (axis if isinstance(axis, list) else [axis]))
    if axes != list(range(axes[0], rank)) or call.config.get("rms_scaling"):
        raise call.refusal("it does not normalise the last dimensions")
    rest = call.arrays
    shape = builder.sizes(call.x)[axes[0] :]
    gamma = rest.pop(0) if call.config.get("scale", True) else np.ones(shape)
    inputs = [builder.constant(gamma.reshape(shape))]
    if call.config.get("center", True):
        inputs.append(builder.constant(rest.pop(0).reshape(shape)))
    return builder.add(
        "LayerNormalization",
        call.x,
        *inputs,
        of=call.name,
        axis=axes[0],
        epsilon=float(call.config["epsilon"]),
    )


def _rms_normalisation(call: Call) -> str:
    """Convert x gamma / sqrt(mean(x**2) + epsilon)."""
    builder = call.builder
    (gamma,) = call.arrays
    if _axis(call, builder.rank(call.x)) != builder.rank(call.x) - 1:
        raise call.refusal("it does not normalise the last dimension")
    axes = builder.constant([-1], integers=True)
    square = builder.add("ReduceMean", builder.add("Mul", call.x, call.x), axes, keepdims=1)
    root = builder.add("Sqrt", builder.shifted(square, float(call.config["epsilon"])))
    return builder.scaled(builder.add("Div", call.x, root), gamma)


def _group_normalisation(call: Call) -> str:
    builder = call.builder
    shape = builder.shape(call.x)
    rank = len(shape) + 1
    groups = int(call.config["groups"])
    groups = shape[-1] if groups == -1 else groups
    if _axis(call, rank) != rank - 1 or shape[-1] % groups:
        raise call.refusal("its axis is not the last, or its groups do not divide the channels")
    rest = call.arrays
    first = builder.transposed(call.x, 0, rank - 1, *range(1, rank - 1))
    grouped = builder.reshaped(first, groups, int(np.prod(shape)) // groups)
    found = builder.add(
        "InstanceNormalization",
        grouped,
        builder.constant(np.ones(groups)),
        builder.constant(np.zeros(groups)),
        epsilon=float(call.config["epsilon"]),
    )
    found = builder.transposed(
        builder.reshaped(found, shape[-1], *shape[:-1]), 0, *range(2, rank), 1
    )
    if call.config.get("scale", True):
        found = builder.scaled(found, rest.pop(0))
    return builder.shifted(found, rest.pop(0)) if call.config.get("center", True) else found


def _normalisation(call: Call) -> str:
    """Convert (x - mean) / max(sqrt(variance), 1e-7), or the inverse."""
    builder = call.builder
    rank = builder.rank(call.x)
    axis = call.config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [] if axis is None else [axis]
    mean, variance = call.config.get("mean"), call.config.get("variance")
    if mean is None or variance is None:
        mean, variance = call.arrays[:2]
    spread = np.maximum(np.sqrt(np.asarray(variance, dtype=np.float64)), 1e-7)
    mean = np.asarray(mean, dtype=np.float64)
    sizes = builder.sizes(call.x)
    wide = [sizes[i] if i in {int(a) % rank for a in axes} else 1 for i in range(1, rank)]
    if mean.size != 1:
        mean, spread = mean.reshape(wide), spread.reshape(wide)
    if call.config.get("invert"):
        return builder.shifted(builder.scaled(call.x, spread), mean)
    return builder.add("Div", builder.shifted(call.x, -mean), builder.constant(spread))


def _rescaling(call: Call) -> str:
    scale, offset = (np.asarray(v, dtype=np.float64) for v in call.options("scale", "offset"))
    return call.builder.shifted(call.builder.scaled(call.x, scale), offset)


def _flatten(call: Call) -> str:
    shape = call.builder.shape(call.x)
    if call.config.get("data_format") == "channels_first" and len(shape) > 1:
        raise call.refusal("its channels come first", "set data_format='channels_last'")
    return call.builder.reshaped(call.x, int(np.prod(shape)))


def _reshape(call: Call) -> str:
    target = size_of(call.config["target_shape"])
    if target.count(-1) == 1:
        rest = -int(np.prod(target))
        target[target.index(-1)] = int(np.prod(call.builder.shape(call.x))) // rest
    return call.builder.reshaped(call.x, *target)


def _permute(call: Call) -> str:
    return call.builder.transposed(call.x, 0, *size_of(call.config["dims"]))


def _repeat_vector(call: Call) -> str:
    builder = call.builder
    (size,) = builder.shape(call.x)
    one = builder.reshaped(call.x, 1, size)
    return builder.add("Tile", one, builder.constant([1, int(call.config["n"]), 1], integers=True))


def _merged(operator: str) -> Callable[[Call], str]:
    def convert(call: Call) -> str:
        first, *rest = call.inputs
        for other in rest:
            first = call.builder.add(operator, first, other)
        return first

    return convert


def _average(call: Call) -> str:
    return call.builder.scaled(_merged("Add")(call), 1.0 / len(call.inputs))


def _concatenate(call: Call) -> str:
    return call.builder.add("Concat", *call.inputs, axis=int(call.config.get("axis", -1)))


def _time_distributed(call: Call) -> str:
    """Apply a layer to every level: the levels become columns."""
    builder = call.builder
    levels, *rest = builder.shape(call.x)
    (layer,) = call.options("layer")
    if layer["class_name"] not in LAYERS:
        raise call.refusal(f"it repeats the layer {layer['class_name']}")
    each = Tensor(builder.reshaped(call.x, *rest))
    found = convert(call.of_layer(layer, "layer", each))
    return builder.reshaped(found[0], levels, *builder.shape(found[0]))


def _attention(call: Call) -> str:
    """Convert MultiHeadAttention: softmax(Q K / sqrt(key_dim)) V for each head."""
    builder = call.builder
    given = dict(zip(("query", "value", "key"), call.args, strict=False)) | {
        name: value for name, value in call.kwargs.items() if value not in (None, False)
    }
    more = set(given) - {"query", "value", "key", "training"}
    if more or call.config.get("use_gate") or call.config.get("sliding_window"):
        raise call.refusal(f"it has {', '.join(sorted(more)) or 'a gate or a window'}")
    query, value = given["query"], given["value"]
    key = given.get("key", value)
    if size_of(call.config.get("attention_axes") or [1]) != [1] or builder.rank(query.name) != 3:
        raise call.refusal("it attends along other dimensions than that of the levels")
    parts = []
    for x, part in ((query, "query_dense"), (key, "key_dense"), (value, "value_dense")):
        kernel, *bias = [np.asarray(a, np.float64) for a in call.weights.part(part).arrays]
        n_in, heads, size = kernel.shape
        flat = builder.dense(
            x.name,
            kernel.reshape(n_in, heads * size),
            bias[0].reshape(heads * size) if bias else None,
            call.name,
        )
        levels = builder.shape(x.name)[0]
        parts.append((builder.reshaped(flat, levels, heads, size), size))
    (q, size), (k, _), (v, width) = parts
    scores = builder.add(
        "MatMul",
        builder.scaled(builder.transposed(q, 0, 2, 1, 3), 1.0 / np.sqrt(size)),
        builder.transposed(k, 0, 2, 3, 1),
    )
    found = builder.add(
        "MatMul", builder.add("Softmax", scores, axis=-1), builder.transposed(v, 0, 2, 1, 3)
    )
    levels, heads = builder.shape(q)[:2]
    found = builder.reshaped(builder.transposed(found, 0, 2, 1, 3), levels, heads * width)
    kernel, *bias = [np.asarray(a, np.float64) for a in call.weights.part("output_dense").arrays]
    if kernel.ndim != 3:
        raise call.refusal("its output has several dimensions")
    weight = kernel.reshape(heads * width, -1)
    return builder.dense(found, weight, bias[0] if bias else None, call.name)


#: Class of a layer -> function that converts its calls.
LAYERS: dict[str, Callable[[Call], str | list[str]]] = {
    "Activation": _activation,
    "ActivityRegularization": _same,
    "Add": _merged("Add"),
    "AlphaDropout": _same,
    "Average": _average,
    "AveragePooling1D": convolution.average_pool,
    "AveragePooling2D": convolution.average_pool,
    "BatchNormalization": _batch_normalisation,
    "Bidirectional": recurrent.bidirectional,
    "Concatenate": _concatenate,
    "Conv1D": convolution.convolution,
    "Conv1DTranspose": convolution.transposed,
    "Conv2D": convolution.convolution,
    "Cropping1D": convolution.cropping,
    "Dense": _dense,
    "DepthwiseConv1D": convolution.depthwise,
    "DepthwiseConv2D": convolution.depthwise,
    "Dropout": _same,
    "ELU": _elu,
    "EinsumDense": _einsum_dense,
    "Flatten": _flatten,
    "GRU": recurrent.recurrent,
    "GaussianDropout": _same,
    "GaussianNoise": _same,
    "GlobalAveragePooling1D": convolution.global_average_pool,
    "GlobalAveragePooling2D": convolution.global_average_pool,
    "GlobalMaxPooling1D": convolution.global_max_pool,
    "GlobalMaxPooling2D": convolution.global_max_pool,
    "GroupNormalization": _group_normalisation,
    "Identity": _same,
    "LSTM": recurrent.recurrent,
    "LayerNormalization": _layer_normalisation,
    "LeakyReLU": _leaky_relu,
    "MaxPooling1D": convolution.max_pool,
    "MaxPooling2D": convolution.max_pool,
    "Maximum": _merged("Max"),
    "Minimum": _merged("Min"),
    "MultiHeadAttention": _attention,
    "Multiply": _merged("Mul"),
    "Normalization": _normalisation,
    "PReLU": prelu,
    "Permute": _permute,
    "RMSNormalization": _rms_normalisation,
    "ReLU": relu,
    "RepeatVector": _repeat_vector,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv1D": convolution.separable,
    "SeparableConv2D": convolution.separable,
    "SimpleRNN": recurrent.recurrent,
    "Softmax": softmax,
    "SpatialDropout1D": _same,
    "SpatialDropout2D": _same,
    "Subtract": _merged("Sub"),
    "TimeDistributed": _time_distributed,
    "UpSampling1D": convolution.upsampling,
    "ZeroPadding1D": convolution.zero_padding,
}


def convert(call: Call) -> list[str]:
    """Convert a call of a layer; return the names of its outputs.

    Raises
    ------
    ImportRefusedError
        The layer is not in the table, or has an option that is not supported.
    """
    handler = LAYERS.get(call.kind)
    if handler is None:
        raise call.refusal("it is not a layer that can be converted")
    masks = [k for k in ("mask", "attention_mask") if call.kwargs.get(k) is not None]
    if masks:
        raise call.refusal("it has a mask")
    found = handler(call)
    return [found] if isinstance(found, str) else found
