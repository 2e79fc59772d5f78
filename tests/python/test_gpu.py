"""The kernels for GPUs behind the operations: on a GPU, where there is one; how they are called also on the emulator of
tests/kernels, which runs them on this CPU."""
import contextlib
import os
import pathlib
import subprocess
import sys

import pytest
import torch
from fusion_models import BLOCK, BLOCKS, LAYERS, RANK, WIDTH, given, grouped, grouped_layer, inputs, layer
from support import ROOT
from test_fusion import Known, Paged, PagedImpl, engine_of

import regraft
from regraft import kernels, operations

TOKENS, HEADS = 9, 3
EMULATOR = pathlib.Path(os.environ.get("REGRAFT_EMULATOR", ROOT / "build" / "tests" / "emulator"))
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def tensors(dtype, fp8, offset=0):
    """Arguments of all operations, on the CPU; `offset` puts q off by so many elements."""
    generator = torch.Generator().manual_seed(offset)

    def normal(*shape):
        return torch.randn(shape, generator=generator).to(dtype)
    cache_type = torch.uint8 if fp8 else dtype
    angles = torch.rand(40, WIDTH // 2, generator=generator) * 6
    wide = normal(TOKENS, HEADS, 3 * WIDTH + offset)
    slots = torch.randperm(BLOCKS * BLOCK, generator=generator)[:TOKENS - 2]  # padding behind
    slots[1] = -1
    return {"q": wide[..., offset:offset + WIDTH], "k": normal(TOKENS, RANK + WIDTH)[:, RANK:], "kv_c": normal(TOKENS, RANK),
            "positions": torch.randint(40, (TOKENS,), generator=generator),
            "table": torch.cat((angles.cos(), angles.sin()), -1).to(dtype), "slots": slots, "scale": torch.tensor([0.5]),
            "latent": torch.zeros(BLOCKS, BLOCK, RANK + WIDTH).to(cache_type),
            "keys": torch.zeros(BLOCKS, 1, BLOCK, 2 * WIDTH).to(cache_type).transpose(1, 2)[..., :WIDTH],
            "values": torch.zeros(BLOCKS, BLOCK, 1, WIDTH).to(cache_type)}


def on_gpu(tensor):
    """The same strides in memory of the GPU."""
    base = tensor._base if tensor._base is not None else tensor
    return base.cuda().as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def call(name, t, fp8, is_neox):
    """Calls an operation; what it returns."""
    cache_type, function = "fp8" if fp8 else "auto", getattr(torch.ops.regraft, name)
    if "flash" in name:
        return function(t["positions"], t["q"], t["k"][:, None], t["kv_c"][:, None, :WIDTH], t["table"], is_neox, t["keys"],
                        t["values"], t["slots"], cache_type, t["scale"], t["scale"])
    k = t["k"] if name.endswith("mla") else t["k"][:, None]
    return function(t["positions"], t["q"], k, t["kv_c"], t["table"], is_neox, t["latent"], t["slots"], cache_type, t["scale"])


GIVEN = [kernel.__name__ for kernel, _ in operations.OPERATIONS if "unified" not in kernel.__name__]


@on_a_gpu
@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("fp8", [False, True], ids=["auto", "fp8"])
@pytest.mark.parametrize("offset", [0, 1], ids=["aligned", "off"])
@pytest.mark.parametrize("is_neox", [False, True], ids=["interleaved", "neox"])
def test_the_same_bits_as_on_the_cpu(name, dtype, fp8, offset, is_neox):
    operations.register()
    there = tensors(dtype, fp8, offset)
    here = {key: on_gpu(value) for key, value in there.items()}
    expected, found = call(name, there, fp8, is_neox), call(name, here, fp8, is_neox)
    assert (expected is None) == (found is None)
    assert expected is None or torch.equal(expected, found.cpu())
    for key, value in there.items():
        assert torch.equal(value, here[key].cpu()), key


@on_a_gpu
def test_what_the_kernels_refuse_is_done_by_the_parts(monkeypatch):
    """The rotation is then plain PyTorch, and the cache is written by the operation that does only that."""
    def refuse(*arguments):
        raise kernels.Refused("made to refuse")
    operations.register()
    there = tensors(torch.float32, False) | {"slots": torch.arange(TOKENS)}
    here = {key: on_gpu(value) for key, value in there.items()}
    call("fused_rope_concat_and_cache_mla", there, False, True)
    monkeypatch.setattr(kernels, "_run_on_gpu", refuse)
    call("fused_rope_concat_and_cache_mla", here, False, True)
    for key in ("q", "k", "latent"):
        assert torch.allclose(there[key], here[key].cpu(), atol=1e-6), key


@on_a_gpu
def test_in_a_cuda_graph():
    """A replay reads what positions and slots hold then."""
    operations.register()
    there = tensors(torch.bfloat16, False)
    here = {key: on_gpu(value) for key, value in there.items()}
    call("fused_rope_concat_and_cache_mla", {key: value.clone() for key, value in here.items()}, False, True)  # is compiled
    fresh = {key: on_gpu(value) for key, value in tensors(torch.bfloat16, False).items()}
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call("fused_rope_concat_and_cache_mla", fresh, False, True)
    for change in ("positions", "slots"):
        fresh[change].copy_(fresh[change].flip(0))
        there[change].copy_(there[change].flip(0))
    call("fused_rope_concat_and_cache_mla", there, False, True)
    graph.replay()
    for key, value in there.items():
        assert torch.equal(value, fresh[key].cpu()), key


def compiled(model, arguments):
    with regraft.enabled(), torch.no_grad():
        return torch.compile(model)(*arguments)


@on_a_gpu
@pytest.mark.parametrize("model, known, called", [
    (layer, Known(), "fused_rope_unified_mla_kv_cache_update"), (grouped_layer, Paged(PagedImpl()), "fused_rope_and_unified_kv_cache_update"),
    (given, None, "fused_rope_concat_and_cache_mla"), (grouped, None, "fused_rope_reshape_and_cache_flash")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_through_inductor(monkeypatch, model, known, called, dtype):
    expected_arguments = [argument.cuda() for argument in inputs(model, dtype=dtype)]
    state = LAYERS["a"]
    state.cache, state.slots = state.cache.cuda(), state.slots.cuda()
    with torch.no_grad():
        expected, expected_cache = model(*expected_arguments), state.cache
    arguments, state = [argument.cuda() for argument in inputs(model, dtype=dtype)], LAYERS["a"]
    state.cache, state.slots = state.cache.cuda(), state.slots.cuda()
    if known:
        engine_of(monkeypatch, known)
    found = compiled(model, arguments)
    fired = [fusion["text"] for graph in regraft.report().dict()["graphs"] for fusion in graph["fusions"] if fusion["outcome"] == "fired"]
    assert fired == [f"regraft.{called}.default"], str(regraft.report())
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    assert torch.allclose(expected, found, rtol=tolerance, atol=tolerance)
    assert torch.allclose(expected_cache, state.cache, rtol=tolerance, atol=tolerance)
    for left, right in zip(expected_arguments, arguments, strict=True):
        assert torch.allclose(left, right, rtol=tolerance, atol=tolerance)


# ---- how they are called, without a GPU ----

def emulated():
    """Each function on the emulated GPU and on the CPU."""
    gpu = kernels.Gpu(0)

    def run(name, arguments, device):
        gpu.run(name, arguments, None)
    operations.register()
    for name in GIVEN:
        for fp8 in (False, True):
            first, second = tensors(torch.bfloat16, fp8), tensors(torch.bfloat16, fp8)
            expected, original = call(name, first, fp8, True), kernels.run
            kernels.run = run
            found = call(name, second, fp8, True)
            kernels.run = original
            assert expected is None or torch.equal(expected, found)
            for key in first:
                assert torch.equal(first[key], second[key]), (name, key)
    with contextlib.suppress(kernels.Refused):
        gpu.run("rope", kernels.Rope(tokens=-1), None)
        raise AssertionError("it took a negative number of tokens")
    print("all the same")


@pytest.mark.skipif(torch.version.cuda is not None, reason="a PyTorch for CUDA would take the emulator for its own driver")
@pytest.mark.skipif(not (EMULATOR / "libcuda.so.1").exists(), reason="the emulator is built by make check-release")
def test_how_they_are_called(tmp_path):
    compilers = [name for name in ("/usr/lib/llvm-14/bin/clang++", "/usr/bin/clang++-14", "/usr/bin/clang++", "/usr/bin/g++")
                 if os.path.exists(name)]
    environment = os.environ | {"LD_LIBRARY_PATH": str(EMULATOR), "XDG_CACHE_HOME": str(tmp_path),
                                "REGRAFT_EMULATOR_CXX": compilers[0], "PYTHONPATH": os.pathsep.join(sys.path)}
    program = "import conftest, test_gpu; test_gpu.emulated()"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "all the same" in done.stdout, done.stdout + done.stderr
