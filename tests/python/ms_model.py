"""Model directories for tests: writing them, reading tensors, and an own reference of what a model draws from item ids.

    write_model(dir, config, tensors, items, profiles={})   config is a dict (format, name and version are filled in when missing),
                                               tensors {name: numpy array of float32, float16, float64, or what bfloat16() gives}, items a list of str,
                                               profiles {field: [value, ...]}, the vocabularies
    item_normal(item_id, interests, seed=0, stddev=1.0)   the item-normal initial logits, float64
    interest_count(rule, interests, n)                    K'u by the rule's name
"""

import json
import math
import os
import struct

import numpy as np

DTYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2"}
MASK = (1 << 64) - 1


def bfloat16(array):
    """Floats as bfloat16, rounded to nearest, ties to even: the upper halves of float32, as uint16."""
    bits = np.asarray(array, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def as_float32(array):
    """What a tensor's elements are as float32."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def safetensors_bytes(tensors, metadata=None):
    """The bytes of a safetensors file, tensors in the order given, the header padded to 8 bytes."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, array in tensors.items():
        array = np.asarray(array)
        dtype = {"float32": "F32", "float16": "F16", "float64": "F64", "uint16": "BF16"}[array.dtype.name]
        raw = np.ascontiguousarray(array).astype(DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def read_safetensors(path):
    """{name: float32 array} of a safetensors file."""
    with open(path, "rb") as file:
        raw = file.read()
    length = struct.unpack("<Q", raw[:8])[0]
    data, tensors = raw[8 + length:], {}
    for name, entry in json.loads(raw[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = np.frombuffer(data[begin:end], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
            tensors[name] = as_float32(array)
    return tensors


def write_model(directory, config, tensors, items, profiles=None):
    """Writes a model directory (made when missing); the same arguments give the same bytes."""
    os.makedirs(directory, exist_ok=True)
    full = {"format": "mindstream-model/1", "name": "test", "version": "1", **config}
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
        json.dump(full, file)
    with open(os.path.join(directory, "model.safetensors"), "wb") as file:
        file.write(safetensors_bytes(tensors))
    with open(os.path.join(directory, "items.txt"), "w", encoding="utf-8", newline="\n") as file:
        file.writelines(item + "\n" for item in items)
    for field, values in (profiles or {}).items():
        with open(os.path.join(directory, f"profile_{field}.txt"), "w", encoding="utf-8", newline="\n") as file:
            file.writelines(value + "\n" for value in values)


def _rotl(x, r):
    return (x << r | x >> (64 - r)) & MASK


_P1, _P2, _P3, _P4, _P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                           0x27D4EB2F165667C5)


def _round(acc, lane):
    return _rotl((acc + lane * _P2) & MASK, 31) * _P1 & MASK


def xxh64(data, seed=0):
    """XXH64 of bytes."""
    size, at = len(data), 0
    if size >= 32:
        acc = [(seed + _P1 + _P2) & MASK, (seed + _P2) & MASK, seed & MASK, (seed - _P1) & MASK]
        while at + 32 <= size:
            acc = [_round(a, lane) for a, lane in zip(acc, struct.unpack_from("<4Q", data, at))]
            at += 32
        h = sum(_rotl(a, r) for a, r in zip(acc, (1, 7, 12, 18))) & MASK
        for a in acc:
            h = ((h ^ _round(0, a)) * _P1 + _P4) & MASK
    else:
        h = (seed + _P5) & MASK
    h = (h + size) & MASK
    while at + 8 <= size:
        h = (_rotl(h ^ _round(0, struct.unpack_from("<Q", data, at)[0]), 27) * _P1 + _P4) & MASK
        at += 8
    if at + 4 <= size:
        h = (_rotl(h ^ struct.unpack_from("<I", data, at)[0] * _P1 & MASK, 23) * _P2 + _P3) & MASK
        at += 4
    for byte in data[at:]:
        h = _rotl(h ^ byte * _P5 & MASK, 11) * _P1 & MASK
    h = (h ^ h >> 33) * _P2 & MASK
    h = (h ^ h >> 29) * _P3 & MASK
    return h ^ h >> 32


def item_normal(item_id, interests, seed=0, stddev=1.0):
    """Initial logits of one item: SplitMix64 from XXH64(id, seed), Box and Muller."""
    state, out = xxh64(item_id.encode(), seed), []
    for _ in range(interests):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        x = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
        x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
        x ^= x >> 31
        u1, u2 = ((x >> 32) + 0.5) / 2**32, ((x & 0xFFFFFFFF) + 0.5) / 2**32
        out.append(stddev * math.sqrt(-2 * math.log(u1)) * math.cos(2 * math.pi * u2))
    return np.array(out)


def interest_count(rule, interests, n):
    """K'u of n routable behaviors; 0 for none."""
    if n == 0:
        return 0
    if rule == "fixed":
        return interests
    r = {"log2-floor": n.bit_length() - 1, "log2-ceil": (n - 1).bit_length(),
         "log2-plus-one-floor": (n + 1).bit_length() - 1, "ln-floor": int(math.log(n))}[rule]
    return max(1, min(interests, r))
