"""libregraft-kernels through ctypes: the part of regraft/kernels.h that the operations of operations.py use."""
import contextlib
import ctypes
import functools
import logging
import os
import pathlib
import threading
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


class GpuOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("device", c_int), ("cache_folder", c_char_p)]


class GpuLaunch(Structure):
    _fields_ = [("stream", c_void_p), ("compile_only", c_int), ("overlap", c_int)]


ARGUMENTS = {"rope": Rope, "rope_cache": RopeCache, "rope_latent_cache": RopeLatentCache}


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
    for name, arguments in ARGUMENTS.items():
        for where, first, more in (("cpu", POINTER(Cpu), []), ("gpu", c_void_p, [POINTER(GpuLaunch)])):
            function = getattr(loaded, f"regraft_{where}_{name}")
            function.restype, function.argtypes = c_int, [first, POINTER(arguments), *more]
    loaded.regraft_gpu_message.restype = c_char_p
    loaded.regraft_gpu_message.argtypes = [c_void_p]
    loaded.regraft_gpu_create.argtypes = [POINTER(GpuOptions), POINTER(c_void_p), c_char_p, c_size_t]
    return loaded


class Refused(Exception):
    """A kernel does not take these arguments; nothing was written. The library's message."""


def _check(status, name, message):
    if status:
        raise Refused(f"regraft: {name}: {message.decode() or library.STATUS.get(status, status)}")


def _run_on_cpu(name, arguments):
    cpu = Cpu(ctypes.sizeof(Cpu), 0, 1 if torch.get_num_threads() == 1 else 0, 0, b"")
    status = getattr(load(), f"regraft_cpu_{name}")(byref(cpu), byref(arguments))
    _check(status, name, cpu.message)


# ---- GPU ----

def _load_compiler():
    """NVRTC of PyTorch's own packages lies where the loader does not look; once it is loaded, its name finds it."""
    names = ("libnvrtc.so.13", "libnvrtc.so.12")
    folders = pathlib.Path(torch.__file__).parents[1].glob("nvidia/*/lib")
    for candidate in (*names, *(folder / name for folder in folders for name in names)):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(str(candidate))
    return None


class Gpu:
    """A device with its compiled kernels, which one thread at a time uses."""

    def __init__(self, index):
        _load_compiler()
        self.lock, self.handle, message = threading.Lock(), c_void_p(), ctypes.create_string_buffer(256)
        options = GpuOptions(ctypes.sizeof(GpuOptions), index, None)
        status = load().regraft_gpu_create(byref(options), byref(self.handle), message, len(message))
        _check(status, f"GPU {index}", message.value)

    def run(self, name, arguments, stream):
        launch = GpuLaunch(stream, 0, 0)
        with self.lock:
            status = getattr(load(), f"regraft_gpu_{name}")(self.handle, byref(arguments), byref(launch))
            _check(status, name, status and load().regraft_gpu_message(self.handle))


_gpus, _gpus_lock = {}, threading.Lock()


def gpu(index):
    """The device of a number as PyTorch counts them; raises Refused."""
    with _gpus_lock:
        if index not in _gpus:
            _gpus[index] = Gpu(index)
        return _gpus[index]


def _run_on_gpu(name, arguments, device):
    try:
        gpu(device.index).run(name, arguments, torch.cuda.current_stream(device).cuda_stream)
    except Refused as error:
        if torch.cuda.is_current_stream_capturing():  # else it is tried again in the next step
            logging.getLogger("regraft").warning("%s: what stands for it goes into the CUDA graph that is being captured", error)
        raise


def missing(device_type):
    """Why there are no kernels for such a device; "" when there are."""
    try:
        load()
        if device_type == "cpu":
            return ""
        if device_type != "cuda" or torch.version.hip:
            return f"regraft has no kernels for {'ROCm' if torch.version.hip else device_type} in PyTorch"
        gpu(torch.cuda.current_device())
    except (ImportError, OSError, AttributeError, RuntimeError, AssertionError, Refused) as error:
        return str(error)
    return ""


def run(name, arguments, device):
    """Calls regraft_cpu_NAME, or regraft_gpu_NAME in PyTorch's current stream; raises Refused."""
    if device.type == "cpu":
        _run_on_cpu(name, arguments)
    else:
        _run_on_gpu(name, arguments, device)


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
