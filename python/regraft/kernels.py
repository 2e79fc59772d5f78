"""libregraft-kernels through ctypes: the CPU's part of regraft/kernels.h that the operations of operations.py use."""
import ctypes
import functools
import os
import pathlib
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_int, c_int64, c_size_t, c_void_p

import torch

from . import library

TYPES = {torch.bfloat16: 0, torch.float16: 1, torch.float32: 2}
FP8 = 3
IN_PLACE, OUT, CACHE_ONLY = range(3)  # regraft_key_result


class Heads(Structure):
    _fields_ = [("data", c_void_p), ("heads", c_int64), ("token_stride", c_int64), ("head_stride", c_int64)]


class Rotation(Structure):
    _fields_ = [("positions", c_void_p), ("table", c_void_p), ("table_type", c_int), ("table_rows", c_int64),
                ("table_stride", c_int64), ("width", c_int64), ("offset", c_int64), ("interleaved", c_int),
                ("inverse", c_int)]


class Slots(Structure):
    _fields_ = [("slots", c_void_p), ("count", c_int64)]


class Cache(Structure):
    _fields_ = [("data", c_void_p), ("type", c_int), ("blocks", c_int64), ("block_size", c_int64),
                ("block_stride", c_int64), ("row_stride", c_int64), ("head_stride", c_int64), ("scale", c_void_p)]


class Rope(Structure):
    _fields_ = [("tokens", c_int64), ("head_size", c_int64), ("type", c_int), ("rotation", Rotation), ("query", Heads),
                ("key", Heads), ("query_out", Heads), ("key_out", Heads)]


class RopeCache(Structure):
    _fields_ = [("tokens", c_int64), ("head_size", c_int64), ("value_size", c_int64), ("type", c_int),
                ("rotation", Rotation), ("query", Heads), ("key", Heads), ("value", Heads), ("query_out", Heads),
                ("key_result", c_int), ("key_out", Heads), ("slots", Slots), ("key_cache", Cache),
                ("value_cache", Cache), ("query_weight", c_void_p), ("key_weight", c_void_p),
                ("epsilon", ctypes.c_float)]


class RopeLatentCache(Structure):
    _fields_ = [("tokens", c_int64), ("head_size", c_int64), ("rank", c_int64), ("type", c_int), ("rotation", Rotation),
                ("query", Heads), ("key_pe", Heads), ("kv_c", Heads), ("query_out", Heads), ("key_result", c_int),
                ("key_pe_out", Heads), ("slots", Slots), ("cache", Cache)]


class Cpu(Structure):
    _fields_ = [("struct_size", c_size_t), ("form", c_int), ("threads", c_int), ("streaming", c_int),
                ("message", c_char * 256)]


_FUNCTIONS = {"regraft_cpu_rope": Rope, "regraft_cpu_rope_cache": RopeCache,
              "regraft_cpu_rope_latent_cache": RopeLatentCache}


def path():
    """The library file: where REGRAFT_KERNELS says, else beside libregraft."""
    found = pathlib.Path(os.environ.get("REGRAFT_KERNELS") or library.path().with_name("libregraft-kernels.so"))
    if not found.is_file():
        raise ImportError(f"regraft: {found} is not there; it has the kernels of regraft's operations (pip install ., or "
                          "REGRAFT_KERNELS)")
    return found


@functools.cache
def load():
    """The library, its functions with types. Calls release Python's lock."""
    loaded = ctypes.CDLL(str(path()))
    for name, arguments in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = c_int, [POINTER(Cpu), POINTER(arguments)]
    loaded.regraft_cpu_form_name.restype = c_char_p
    return loaded


class Refused(Exception):
    """A kernel does not take these arguments; nothing was written. The library's message."""


def run(name, arguments):
    """Calls a function; raises Refused."""
    cpu = Cpu(ctypes.sizeof(Cpu), 0, 1 if torch.get_num_threads() == 1 else 0, 0, b"")
    status = getattr(load(), name)(byref(cpu), byref(arguments))
    if status:
        raise Refused(f"regraft: {name}: {cpu.message.decode() or library.STATUS.get(status, status)}")


# ---- tensors ----

def heads(tensor, size):
    """A tensor [tokens, heads, size], [tokens, heads * size] or, of one head, [tokens, size]."""
    if tensor.dim() == 3:
        return Heads(tensor.data_ptr(), tensor.shape[1], tensor.stride(0), tensor.stride(1))
    return Heads(tensor.data_ptr(), tensor.shape[1] // size, tensor.stride(0), size)


def rotation(positions, table, is_neox):
    return Rotation(positions.data_ptr(), table.data_ptr(), TYPES[table.dtype], table.shape[0], table.stride(0),
                    table.shape[1], 0, 0 if is_neox else 1, 0)


def slots(tensor, tokens):
    return Slots(tensor.data_ptr(), min(tensor.numel(), tokens))


def _scale(scale):
    return None if scale is None else scale.data_ptr()


def latent_cache(tensor, kind, scale=None):
    """[blocks, block_size, width], its elements a regraft_type; `scale`: f32, one number."""
    return Cache(tensor.data_ptr(), kind, tensor.shape[0], tensor.shape[1], tensor.stride(0), tensor.stride(1), 0,
                 _scale(scale))


def paged_cache(tensor, kind, scale=None):
    """[blocks, block_size, heads, size]"""
    return Cache(tensor.data_ptr(), kind, *tensor.shape[:2], *tensor.stride()[:3], _scale(scale))
