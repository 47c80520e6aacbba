"""Attention, and the rotation of its queries and keys by position."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from emufort.importing.arguments import Inputs, constant, data, given, number, numbers_of
from emufort.importing.atoms import Lowering
from emufort.importing.graph import Node
from emufort.importing.lowering import Handler
from emufort.importing.operators_linear import matrix_product, summed
from emufort.importing.operators_logic import chosen
from emufort.importing.operators_reductions import softmax
from emufort.importing.refusal import refuse
from emufort.importing.values import Array, Value, selected


def _by_heads(value: Value, heads: int) -> Value:
    """Return a value (1, L, heads * E) or (1, heads, L, E) as (heads, L, E)."""
    if len(value.shape) != 3:
        return value.reshaped(value.shape[1:])
    if heads < 1 or value.shape[2] % heads:
        raise ValueError("its heads do not fit its inputs")
    places = numbers_of((value.shape[1], heads, value.shape[2] // heads))
    return value.taken(places.swapaxes(0, 1))


def _after(past: Value | None, value: Value) -> Value:
    """Return a value (heads, L, E) behind that of earlier positions."""
    if past is None:
        return value
    heads, length, width = value.shape
    first = past.shape[2]
    places = np.concatenate(
        [
            numbers_of((heads, first, width)),
            past.size + numbers_of((heads, length, width)),
        ],
        axis=1,
    )
    return selected([past, value], places)


def _of_each_query(value: Value, heads: int) -> Value:
    """Return a value (heads, L, E) for more heads of queries."""
    places = np.repeat(numbers_of(value.shape), heads // value.shape[0], axis=0)
    return value.taken(places)


def _mask(state: Lowering, node: Node, mask: Value, n_keys: int) -> Value:
    """Return what is added to the scores, with minus infinity for masked and missing keys."""
    infinite = Value.constant(np.array(-np.inf))
    if mask.kind == "boolean":
        mask = chosen(state, mask, Value.constant(np.array(0.0)), infinite)
    missing = n_keys - mask.shape[-1]
    if missing > 0:
        places = np.full((*mask.shape[:-1], n_keys), mask.size)
        places[..., : mask.shape[-1]] = numbers_of(mask.shape)
        mask = selected([mask, infinite], places)
    return mask


def _fixed_mask(node: Node, n_queries: int, n_keys: int, first: int) -> Array:
    """Return what the attributes add to the scores, (queries, keys)."""
    distance = first + np.arange(n_queries)[:, None] - np.arange(n_keys)
    is_allowed = np.ones(distance.shape, bool)
    if node.attributes.get("is_causal"):
        is_allowed &= distance >= 0
    left, right = (int(node.attributes.get(f"{s}_window_size", -1)) for s in ("left", "right"))
    if left >= 0:
        is_allowed &= distance <= left
    if right >= 0:
        is_allowed &= -distance <= right
    return np.where(is_allowed, 0.0, -np.inf)


def _attention(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    attributes = node.attributes
    if given(inputs, 6) is not None:
        raise refuse(
            node.operator, node.name, "its number of keys is an input", "use a mask of fixed size"
        )
    is_flat = len(Value.of(inputs[0]).shape) == 3
    query, key, value = (
        _by_heads(Value.of(v), int(attributes.get(name, 0)))
        for v, name in zip(inputs[:3], ("q_num_heads", "kv_num_heads", "kv_num_heads"), strict=True)
    )
    past = [None if given(inputs, k) is None else Value.of(inputs[k]) for k in (4, 5)]
    key, value = _after(past[0], key), _after(past[1], value)
    present = [v.reshaped((1, *v.shape)) for v in (key, value)]
    heads, n_queries, width = query.shape
    n_keys = key.shape[1]
    scale = number(attributes, "scale", 0.0) if "scale" in attributes else 1.0 / np.sqrt(width)
    key, value = (_of_each_query(v, heads) for v in (key, value))
    turned = key.taken(numbers_of(key.shape).swapaxes(1, 2))
    products = matrix_product(state, state.folded(query.scaled(scale)), turned)
    added = Value.constant(
        _fixed_mask(node, n_queries, n_keys, past[0].shape[2] if past[0] is not None else 0)
    )
    if given(inputs, 3) is not None:
        mask = _mask(state, node, Value.of(inputs[3]), n_keys)
        if len(mask.shape) == 4:
            mask = mask.reshaped(mask.shape[1:])
        added = summed(state, [added, mask])
    capped = _capped(state, products, number(attributes, "softcap", 0.0))
    scores = summed(state, [capped, added])
    weights = softmax(state, scores, numbers_of(scores.shape).reshape(-1, n_keys))
    found = matrix_product(state, weights, value)
    stages = (products, capped, scores, weights)
    shown = stages[int(attributes.get("qk_matmul_output_mode", 0))].reshaped((1, *scores.shape))
    if is_flat:
        found = found.taken(numbers_of(found.shape).swapaxes(0, 1))
        found = found.reshaped((1, n_queries, found.size // n_queries))
    else:
        found = found.reshaped((1, *found.shape))
    return found, *present, shown


def _capped(state: Lowering, scores: Value, cap: float) -> Value:
    if cap <= 0.0:
        return scores
    return state.activation(scores.scaled(1.0 / cap), "tanh").scaled(cap)


def _rotation(state: Lowering, node: Node, inputs: Inputs) -> tuple[Value, ...]:
    """Lower RotaryEmbedding with constant angles, which is linear."""
    x = data(inputs)
    cosine, sine, positions = (constant(node, inputs, k) for k in (1, 2, 3))
    if cosine is None or sine is None:
        raise ValueError("it has no angles")
    shape = x.shape
    numbers = numbers_of(shape)
    if len(shape) == 3:
        heads = int(node.attributes["num_heads"])
        numbers = numbers.reshape(shape[1], heads, -1).swapaxes(0, 1)
    else:
        numbers = numbers[0]
    # numbers are (heads, L, E)
    if positions is not None:
        cosine, sine = cosine[positions], sine[positions]
    cosine, sine = (np.asarray(v, np.float64).reshape(numbers.shape[1], -1) for v in (cosine, sine))
    n = int(node.attributes.get("rotary_embedding_dim", 0)) or numbers.shape[2]
    rotated = numbers[:, :, :n]
    if node.attributes.get("interleaved"):
        one, other = rotated[:, :, 0::2], rotated[:, :, 1::2]
    else:
        one, other = np.split(rotated, 2, axis=2)
    rest = numbers[:, :, n:].ravel()
    parts = [
        (one, one, cosine),
        (one, other, -sine),
        (other, one, sine),
        (other, other, cosine),
    ]
    rows = np.concatenate([rest, *(row.ravel() for row, _, _ in parts)])
    columns = np.concatenate([rest, *(column.ravel() for _, column, _ in parts)])
    weights = [np.broadcast_to(factor, row.shape).ravel() for row, _, factor in parts]
    matrix = sparse.csr_array(
        (np.concatenate([np.ones(len(rest)), *weights]), (rows, columns)), shape=(x.size, x.size)
    )
    return (state.linear(x, matrix, shape),)


#: ONNX operator -> function that lowers it.
ATTENTION: Mapping[str, Handler] = {"Attention": _attention, "RotaryEmbedding": _rotation}
