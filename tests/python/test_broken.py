"""Kernels that are known to break their contract: their calls keep writing to copies, and the report names row and calls."""
import dataclasses

import pytest
from models import MODELS, inputs
from support import Graphs, assert_same, run

from regraft import broken

ROW = broken.Row("regraft_test.rotate.default", "no-such-package|pytest", ("1.0", None), "cpu", ("q", "k"), 2,
                 "rotates other memory", lambda: True)


def record_with(monkeypatch, row, name="qkv", **options):
    monkeypatch.setattr(broken, "TABLE", (row,))
    graphs = Graphs()
    assert_same(run(MODELS[name], inputs(name)), graphs.run(MODELS[name], inputs(name), **options))
    return graphs.records[0]


@pytest.mark.parametrize("second_encoding", [False, True], ids=["v1", "v2"])
def test_its_calls_stay_copied(monkeypatch, second_encoding):
    record = record_with(monkeypatch, ROW, second_encoding=second_encoding)
    (row,) = record.broken
    assert row["operation"] == ROW.operation and row["package"] == "pytest" and len(row["calls"]) == 1
    assert {copy.why for copy in record.copies} >= {f"{ROW.operation} of pytest {row['version']} rotates other memory"}
    assert any(f"{ROW.operation} of pytest {row['version']} rotates other memory: 1 call stays copied" in line
               for line in record.print())


def test_a_probe_that_fails_counts_as_broken(monkeypatch):
    def fail():
        raise RuntimeError("it has no kernel here")
    assert record_with(monkeypatch, dataclasses.replace(ROW, probe=fail)).broken


@pytest.mark.parametrize("changes", [{"probe": lambda: False}, {"versions": ("1.0", "1.1")}, {"versions": ("999.0", None)},
                                     {"package": "no-such-package"}, {"operation": "regraft_test.store.default"}])
def test_where_the_row_does_not_hold_nothing_is_copied(monkeypatch, changes):
    record = record_with(monkeypatch, dataclasses.replace(ROW, **changes))
    assert not record.broken and not record.copies


@pytest.mark.parametrize("changes", [{"rank": 3}, {"device": "cuda"}, {"arguments": ("positions",)}])
def test_a_kernel_that_no_call_would_hit_is_not_probed(monkeypatch, changes):
    def probe():
        raise AssertionError("it was run")
    record = record_with(monkeypatch, dataclasses.replace(ROW, probe=probe, **changes))
    assert not record.broken and not record.copies
