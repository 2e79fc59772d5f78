"""Fused operations in live graphs: where they are put in, where not and why, and what they compute."""
import pytest
import torch
import fusion_models
from fusion_models import LAYERS, WIDTH, given, grouped, grouped_layer, inputs, layer, spelled
from support import Graphs, assert_same, run, targets

import regraft
from regraft import layers


class Impl:
    """What writes the cache of a layer, as vLLM's attention for GPUs spells it."""

    def do_kv_cache_update(self, kv_c_normed, k_pe, kv_cache, slot_mapping, kv_cache_dtype, k_scale):
        torch.ops._C_cache_ops.concat_and_cache_mla(kv_c_normed, k_pe.squeeze(1), kv_cache, slot_mapping.flatten(),
                                                    kv_cache_dtype=kv_cache_dtype, scale=k_scale)


class PagedImpl:
    """The same of grouped-query attention."""

    def do_kv_cache_update(self, layer, key, value, kv_cache, slot_mapping):
        key_cache, value_cache = kv_cache.transpose(1, 2).split(WIDTH, -1)
        torch.ops._C_cache_ops.reshape_and_cache_flash(key, value, key_cache, value_cache, slot_mapping, "auto",
                                                       layer._k_scale, layer._v_scale)


class OtherImpl:
    def do_kv_cache_update(self, layer, key, value, kv_cache, slot_mapping):
        kv_cache[slot_mapping] = torch.cat((key, value), -1)


class Backend:
    @staticmethod
    def get_kv_cache_shape(blocks, block_size, heads, size):
        return blocks, heads, block_size, 2 * size


class Paged:
    """A layer with grouped-query attention."""
    num_kv_heads, head_size, attn_backend = 1, WIDTH, Backend
    _k_scale = _v_scale = torch.ones(1)

    def __init__(self, impl):
        self.impl = impl


class Known:
    """A layer with latent attention, for regraft.layers."""
    kv_lora_rank, qk_rope_head_dim, impl = 16, 8, Impl()


def engine_of(monkeypatch, known):
    """Layers are found in LAYERS, and write their caches as `known` does."""
    monkeypatch.setattr(layers, "all_layers", lambda: {name: known for name in LAYERS})
    monkeypatch.setattr(layers, "find", lambda name: (None, known, LAYERS[name].cache, LAYERS[name].slots))


@pytest.fixture
def engine(monkeypatch):
    engine_of(monkeypatch, Known())


def compare(model, dtype=torch.float32, **options):
    """Runs the model in eager and through regraft, compares all, also the caches; (record, targets of the graph)."""
    expected, cache = run(model, inputs(model, dtype=dtype)), LAYERS["a"].cache
    graphs, arguments = Graphs(), inputs(model, dtype=dtype)
    found = graphs.run(model, arguments, **options)
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    assert_same(expected, found, tolerance)
    assert torch.allclose(cache.float(), LAYERS["a"].cache.float(), atol=tolerance)
    (record,), (module,) = graphs.records, graphs.after
    assert record.outcome == "changed", record
    return record, targets(module.graph)


def fired(record):
    return [(fusion.rule, fusion.text) for fusion in record.fusions if fusion.outcome == "fired"]


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_cache_of_a_layer(engine, dtype, dynamic):
    record, found = compare(layer, dtype, dynamic=dynamic)
    called = "regraft.fused_rope_unified_mla_kv_cache_update.default"
    assert fired(record) == [("rope-mla-cache", called)]
    assert called in found and "_C.rotary_embedding.default" not in found and not record.copies


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_the_value_of_a_fused_call_is_propagated_once(engine, monkeypatch, dynamic):
    """It does not depend on the layer's name. Graphs compares each with what propagation gives."""
    from regraft.values import Values
    original, propagated = Values._propagate, []

    def propagate(self, node, *rest):
        propagated.append(str(node.target))
        return original(self, node, *rest)
    monkeypatch.setattr(Values, "_propagate", propagate)
    record, found = compare(fusion_models.layers, dynamic=dynamic)
    called = "regraft.fused_rope_unified_mla_kv_cache_update.default"
    assert found.count(called) == len(fired(record)) == 3 and propagated.count(called) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_packed_cache_of_a_layer(monkeypatch, dtype):
    """Its views are those that the layer's own writer makes."""
    engine_of(monkeypatch, Paged(PagedImpl()))
    record, found = compare(grouped_layer, dtype)
    called = "regraft.fused_rope_and_unified_kv_cache_update.default"
    assert [called for _, called in fired(record)] == [called], record.fusions
    assert called in found and "_C.rotary_embedding.default" not in found


def test_a_cache_that_a_layer_writes_otherwise(monkeypatch):
    engine_of(monkeypatch, Paged(OtherImpl()))
    graphs = Graphs()
    graphs.run(grouped_layer, inputs(grouped_layer))
    assert "_C.rotary_embedding.default" in targets(graphs.after[0].graph)
    texts = [fusion.text for fusion in graphs.records[0].fusions]
    assert any("OtherImpl writes its cache by aten.index_put_.default, not by" in text for text in texts), texts


def test_a_backend_that_does_not_tell_how_its_cache_lies(monkeypatch):
    """As that of vLLM for CPUs."""
    layer = Paged(PagedImpl())
    layer.attn_backend = type("PacksItsCache", (), {})
    engine_of(monkeypatch, layer)
    why = layers.reason("regraft.fused_rope_and_unified_kv_cache_update")
    assert why == "PagedImpl has a cache of a layout of its own (PacksItsCache has no get_kv_cache_shape) (layer a)"


def test_a_layer_that_stops_fitting_writes_its_cache_itself(monkeypatch):
    """Which layer a call is for is known when it runs."""
    known = Paged(PagedImpl())
    engine_of(monkeypatch, known)
    expected, cache = run(grouped_layer, inputs(grouped_layer)), LAYERS["a"].cache
    graphs, arguments = Graphs(), inputs(grouped_layer)
    compiled = torch.compile(grouped_layer, backend=graphs.backend)
    with torch.no_grad():
        compiled(*arguments)
    known.impl, LAYERS["a"].cache = OtherImpl(), torch.zeros_like(cache)
    with torch.no_grad():
        found = run(compiled, arguments)
    assert_same(expected, found)
    assert torch.equal(cache, LAYERS["a"].cache)


@pytest.mark.parametrize("model, rule, called", [
    (given, "rope-concat-and-cache-mla", "regraft.fused_rope_concat_and_cache_mla.default"),
    (grouped, "rope-reshape-and-cache-flash", "regraft.fused_rope_reshape_and_cache_flash.default")])
def test_caches_that_are_tensors(model, rule, called):
    record, found = compare(model)
    assert fired(record) == [(rule, called)] and called in found


def test_without_a_layer_that_is_known_nothing_is_fused():
    record, found = compare(layer)
    assert not fired(record) and "_C.rotary_embedding.default" in found
    assert [fusion.rule for fusion in record.fusions] == [
        "rope-mla-cache", "rope-mla-cache-k-pe-out", "rope-mla-cache-no-write-back"]
    assert "is not registered in this PyTorch" in record.fusions[0].text
    assert all("there is no vLLM in this process" in fusion.text for fusion in record.fusions[1:]), record.fusions
    assert "missed at unified_mla_kv_cache_update" in str(regraft.report())


def test_a_rotation_in_aten_operations_stays(engine):
    """An operation in its place would round otherwise: that cannot be proved."""
    record, found = compare(spelled)
    assert not fired(record) and not any("regraft" in target or "rotary_embedding" in target for target in found), found
    assert "expected _C.rotary_embedding.default" in record.fusions[0].text


def test_the_write_of_a_cache_is_never_passed_over_in_silence(engine, monkeypatch):
    """Where neither the rotation is an operation nor what would be called is there, one rule says both."""
    def fits(layer):
        raise layers.Unknown("has no cache of ours")
    for form in ("", "_k_pe_out", "_no_write_back"):
        monkeypatch.setitem(layers.FITS, f"regraft.fused_rope_unified_mla_kv_cache_update{form}", (True, fits))
    record, _ = compare(spelled)
    writes = [fusion for fusion in record.fusions if fusion.anchor.startswith("unified_mla_kv_cache_update")]
    assert len(writes) == 1 and "no cache of ours" in writes[0].text, record.fusions
    assert "the graph has no call of _C.rotary_embedding.default" in writes[0].text


def test_nothing_is_fused_when_it_is_not_wanted(engine, monkeypatch):
    monkeypatch.setenv("REGRAFT_FUSE", "0")
    record, found = compare(layer)
    assert not record.fusions and "_C.rotary_embedding.default" in found


def test_a_kernel_that_breaks_its_contract_is_not_fused_away(engine, monkeypatch):
    """What it gives is what the program is used to."""
    from regraft import library
    original = library.Context.graph

    def graph(self, *arrays):
        self.keep_copies("_C.rotary_embedding.default", "it is known to be broken")
        return original(self, *arrays)
    monkeypatch.setattr(library.Context, "graph", graph)
    record, found = compare(layer)
    assert not fired(record) and "_C.rotary_embedding.default" in found
    assert "it is known to be broken" in [fusion.text for fusion in record.fusions]


def test_a_fusion_that_is_not_proved_is_not_handed_back(engine, monkeypatch):
    from regraft import library
    monkeypatch.setattr(library.Context, "prove", lambda *arguments: library.Proof(
        0, b"out0", b"made to fail", b"", b""))
    graphs = Graphs()
    graphs.run(layer, inputs(layer))
    assert graphs.records[0].outcome == "left"
    assert not any(target.startswith("regraft.") for target in targets(graphs.after[0].graph))
