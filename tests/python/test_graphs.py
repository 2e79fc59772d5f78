"""Models through the bridge with their graphs run as they are: values, identity of nodes, what is left."""
import operator

import pytest
import torch
from models import MODELS, OPS, inputs, later_rows
from support import Graphs, assert_same, caught, run, targets

import regraft
from regraft import importer


@pytest.mark.parametrize("second_encoding", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("name", MODELS)
def test_values_are_those_of_eager(name, dynamic, second_encoding):
    graphs = Graphs()
    found = graphs.run(MODELS[name], inputs(name), dynamic, second_encoding)
    assert_same(run(MODELS[name], inputs(name)), found)
    assert [record.outcome for record in graphs.records] == ["changed"], graphs.records
    left = [target for module in graphs.after for target in targets(module.graph)]
    assert not any("auto_functionalized" in target for target in left), left


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_rows_whose_numbers_are_computed(dynamic):
    """Other nodes carry where the written rows begin, and so do those of the new graph."""
    graphs = Graphs()
    found, warned = caught(lambda: graphs.run(later_rows, inputs("qkv"), dynamic))
    assert_same(run(later_rows, inputs("qkv")), found)
    assert not warned and [record.outcome for record in graphs.records] == ["changed"], (warned, graphs.records)
    arguments = [argument for module in graphs.after for node in module.graph.nodes
                 for argument in torch.utils._pytree.tree_leaves((node.args, node.kwargs))]
    assert not any(isinstance(argument, torch.SymInt) for argument in arguments)


def test_what_may_be_made_elsewhere_is_not_asked_where_it_lies():
    """An offset that is asked for stays what it was only where no pass would lay the tensor elsewhere."""
    aten, graph = torch.ops.aten, torch.fx.Graph()
    call, x = graph.call_function, graph.placeholder("x")

    def rotated(base):
        wrapped = call(torch.ops.higher_order.auto_functionalized_v2, (OPS.rotate.default,), {"_all_bases": [base]})
        return call(operator.getitem, (wrapped, 1))
    stay = [x, call(aten.mm.default, (x, x))]
    made = [call(aten.clone.default, (x,)), call(aten.empty.memory_format, ([4, 4],)),
            call(aten.slice_scatter.default, (x, x)), call(aten.index_put.default, (x, [x], x)),
            call(aten.scatter.src, (x, 0, x, x)), call(aten.scatter_add.default, (x, 0, x, x)),
            call(torch.ops.prims.convert_element_type.default, (x, torch.float32)), call(aten.lift_fresh_copy.default, (x,))]
    for value, expected in [*((node, True) for node in stay), *((node, False) for node in made)]:
        part = call(operator.getitem, (call(aten.split.Tensor, (value, 2)), 0))
        for node in (value, part, rotated(value), call(aten.slice.Tensor, (rotated(part), 0, 1, 2))):
            assert importer._lies_where_it_was(node) == expected, node.format_node()


# what placing may not take away; of ordinary operations in place, the writes of their results
COPIES = {"input_stays": 2, "old_values": 1, "plain": 2, "rows": 1}


@pytest.mark.parametrize("name", MODELS)
def test_copies_are_those_that_are_needed(name):
    graphs = Graphs()
    graphs.run(MODELS[name], inputs(name))
    assert len(graphs.records[0].copies) == COPIES.get(name, 0), graphs.records[0].copies


def test_nodes_that_stay_are_the_same_objects():
    seen = {}

    def change(graph):
        from regraft import bridge, options
        seen["before"] = {node: (node.name, dict(node.meta)) for node in graph.nodes}
        record = bridge.optimize(graph, options.make())
        seen["after"] = list(graph.nodes)
        return record
    Graphs(change).run(MODELS["qkv"], inputs("qkv"))
    kept = [node for node in seen["after"] if node in seen["before"]]
    assert len(kept) >= 6
    for node in kept:
        name, meta = seen["before"][node]
        assert node.name == name and node.meta == meta
    new = [node for node in seen["after"] if node not in seen["before"]]
    assert all("val" in node.meta and "stack_trace" in node.meta for node in new)
    call = next(node for node in new if str(node.target) == "regraft_test.rotate.default")
    assert call.meta["val"] is None
    # in the custom operation's interest: exactly these strides
    assert call.meta["eager_input_vals"][1]["q"].stride() == (16, 1)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_the_values_of_equal_layers_are_propagated_once(monkeypatch, dynamic):
    """Graphs compares each with what propagation gives."""
    from regraft.values import Values
    original, propagated = Values._propagate, []

    def propagate(self, node, *rest):
        propagated.append(node.target)
        return original(self, node, *rest)
    monkeypatch.setattr(Values, "_propagate", propagate)

    def model(x, w, positions):
        for layer in range(4):
            x = x + MODELS["heads"](x, w, positions)[:, :1] + MODELS["slices"](x, w, positions)[:, :1]
        return x
    graphs = Graphs()
    found = graphs.run(model, inputs("qkv"), dynamic)
    assert_same(run(model, inputs("qkv")), found, 1e-3)
    (record,), (module,) = graphs.records, graphs.after
    assert record.outcome == "changed"
    views = [target for target in targets(module.graph) if target.startswith("aten.") and "add" not in target]
    assert len(views) > 3 * len(propagated) > 0, (views, propagated)


def test_the_report_names_every_copy():
    graphs = Graphs()
    graphs.run(MODELS["old_values"], inputs("old_values"))
    copy = graphs.records[0].copies[0]
    assert copy.bytes == str(6 * 8 * 4) and copy.why and copy.source.startswith(__file__.replace("test_graphs", "models"))


def test_a_second_compilation_in_another_thread():
    import threading
    failures = []

    def work(name):
        try:
            assert_same(run(MODELS[name], inputs(name)), Graphs().run(MODELS[name], inputs(name)))
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=work, args=(name,)) for name in ("qkv", "slices", "twice")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_an_unchanged_graph_needs_no_proof():
    """Also where the prover does not understand what is in it: how many pieces there are, a guard tells."""
    graphs = Graphs()
    _, warned = caught(lambda: graphs.run(lambda x: torch.sin(x.split(x.shape[0] // 2)[0]), [torch.randn(6, 4)], True))
    assert not warned and graphs.records[0].outcome == "unchanged"


def test_a_graph_without_anything_to_do_is_unchanged():
    graphs = Graphs()
    graphs.run(lambda x: torch.sin(x) + 1, [torch.randn(4)])
    assert graphs.records[0].outcome == "unchanged"


def chosen_rows(x, w):
    """As many as there are, which nothing but the data says."""
    y = x @ w
    rows = y[(y[:, 0] > 0).nonzero().squeeze(1)] * 1
    OPS.rotate(rows[:, :8], rows[:, 8:12], torch.arange(len(rows)))
    return OPS.read(rows[:, :8], rows[:, 8:12]) + rows[:, 12:].sum()


def rows_of_a_number(x, w, number):
    y, count = x @ w, number.item()
    torch._check(0 <= count)
    torch._check(count <= 4)
    y.narrow(0, 0, count).mul_(2)
    OPS.rotate(y[:, :8], y[:, 8:12], torch.arange(len(y)))
    return y


def branches(x, w):
    y = x @ w
    z = torch.cond(y.sum() > 0, torch.sin, torch.cos, (y,))
    OPS.rotate(y[:, 8:], None, torch.arange(len(y)))
    return z, y + 1


def complex_numbers(x, w):
    y = torch.view_as_complex((x @ w).view(6, 8, 2)) * (1 + 2j)
    y[:, :2] = 3j
    z = torch.view_as_real(y).reshape(6, 16) + 1
    OPS.rotate(z[:, :8], z[:, 8:12], torch.arange(len(z)))
    return z * 2, y, torch.full((2,), 2 ** 64 - 1, dtype=torch.uint64).to(torch.float64)


def all_but_the_first_doubled(x):
    x[1:].mul_(2)
    return x


SHIFTED = {"behind the first": lambda x: x[1:] * 2, "before the last": lambda x: x[:-1] * 2, "the last three": lambda x: x[-3:] * 2,
           "neighbours": lambda x: x[1:] - x[:-1], "half": lambda x: x[:len(x) // 2] * 2, "written": lambda x: all_but_the_first_doubled(x * 3)}


@pytest.mark.parametrize("name", SHIFTED)
def test_slices_of_symbolic_rows(name):
    """How many there are is told by what PyTorch says of the result: nothing else says that there is a row at all."""
    def model(q, k, positions):
        rows = SHIFTED[name](k)
        q, k = q * 2, k * 2
        OPS.rotate(q, k, positions)
        return q, k, rows
    arguments = [torch.randn(6, 8), torch.randn(6, 4), torch.arange(6)]
    graphs = Graphs()
    assert_same(run(model, arguments), graphs.run(model, arguments, dynamic=True))
    assert graphs.records[0].outcome == "changed", graphs.records[0]


@pytest.mark.parametrize("model", [chosen_rows, rows_of_a_number, branches, complex_numbers], ids=lambda model: model.__name__)
def test_what_the_data_decides(model):
    """Sizes that a call gives, numbers, and parts of the program; numbers that no C type holds."""
    arguments = [torch.randn(6, 16), torch.randn(16, 16), torch.tensor(3)][:model.__code__.co_argcount]
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True, capture_scalar_outputs=True), torch.no_grad():
        with regraft.enabled():
            found, warned = caught(lambda: torch.compile(model, fullgraph=True)(*arguments))
    for one, other in zip(*(values if isinstance(values, tuple) else (values,) for values in (model(*arguments), found)), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert not warned and regraft.report().graphs[-1].outcome == "changed", str(regraft.report())
