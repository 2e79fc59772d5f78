"""A live torch.fx.Graph through the library and back. Whatever goes wrong, the graph stays as it came."""
import gc
import os
import threading
import time
import warnings

import torch

from . import availability, broken, library
from .exporter import Exporter
from .importer import Importer
from .options import LIVE_PIPELINE_END, RegraftWarning
from .records import LOG, Copy, Fusion, Remark


class NotProved(Exception):
    """The changed graph could not be proved equal to the one that came."""


def _fuse_pass(options):
    """Nothing is raised from ATen operations: what stands for them rounds otherwise, so it could not be proved."""
    platform = "platform=rocm " if torch.version.hip else ""  # PyTorch calls its devices cuda
    tokens = f"tokens={options.tokens} " if options.tokens else ""
    return f"fuse{{{platform}{tokens}raised=none}},"


def pipeline_of(options):
    fuse = _fuse_pass(options) if options.fuse else ""
    return options.pipeline or f"{library.default_pipeline()},{fuse}{LIVE_PIPELINE_END}"


class Clock:
    """Seconds of each part, into a report."""

    def __init__(self, record):
        self.record, self.last = record, time.perf_counter()

    def __call__(self, part):
        now = time.perf_counter()
        self.record.seconds[part] = now - self.last
        self.last = now


def _text(value):
    return value.decode() if value else ""


def _collect(context, graph, record):
    record.nodes_after = context.library.regraft_graph_node_count(graph)
    record.copies = [Copy(_text(copy.node), _text(copy.bytes), _text(copy.place), _text(copy.why), _text(copy.source),
                          _text(copy.remedy), bool(copy.own), bool(copy.inlined)) for copy in context.copies(graph)]
    record.remarks = [Remark(_text(remark.pass_name), _text(remark.node), _text(remark.source), _text(remark.text),
                             bool(remark.applied)) for remark in context.remarks(graph)]
    record.fusions = [Fusion(_text(fusion.rule), _text(fusion.outcome), _text(fusion.anchor), _text(fusion.node),
                             _text(fusion.source), _text(fusion.text), _text(fusion.remedy))
                      for fusion in context.fusions(graph) if fusion.near]
    fired = {fusion.anchor for fusion in record.fusions if fusion.outcome == "fired"}
    record.fusions = [fusion for fusion in record.fusions if fusion.outcome == "fired" or fusion.anchor not in fired]


def _add_contracts(context, importer, graph, options, record):
    for contract in options.contracts:
        context.contract(contract)
    for row, package, version, calls in broken.find(graph, importer.by_text):
        context.keep_copies(row.operation, f"{row.operation} of {package} {version} {row.why}")
        record.broken.append({"operation": row.operation, "package": package, "version": version, "why": row.why,
                              "calls": calls})


def _add_operations(context, options):
    if options.operations:
        with open(options.operations, encoding="utf-8") as file:
            context.operations(options.operations, file.read())


def _optimize(graph, options, record, keep_clones):
    clock = Clock(record)
    with library.Context() as context:
        _add_operations(context, options)
        importer = Importer(context)
        arrays = importer.read(graph)
        record.nodes_before = len(importer.nodes)
        record.operations = importer.schemas()
        _add_contracts(context, importer, graph, options, record)
        if options.fuse or options.pipeline:
            availability.declare(context, graph, importer.devices(), options.prefer)
        clock("read")
        record.original = library.Original(context, *arrays)
        before = context.graph(*arrays)
        after = context.graph(*arrays)
        context.explain_fusions(after)
        context.run(after, pipeline_of(options), options.bisect_limit, options.verify)
        clock("passes")
        proof = context.prove(before, after)
        clock("proof")
        if not proof.proved:
            place = f" at {_text(proof.first)}" if proof.first else ""
            raise NotProved(f"not proved: {_text(proof.result)}: {_text(proof.reason)}{place}")
        edits, values = context.edits(after)
        _collect(context, after, record)
        clock("edits")
        changed = Exporter(graph, importer, keep_clones).apply(edits, values)
        clock("apply")
    record.outcome = "changed" if changed else "unchanged"


# ---- when something is wrong ----

def _readable(graph, record):
    if record.original:
        try:
            return str(record.original)
        except Exception:  # it is what failed
            pass
    try:
        return graph.owning_module.print_readable(print_output=False, include_stride=True, include_device=True)
    except Exception:
        return str(graph)


def _reproducer(graph, options, record):
    """Writes the graph as it came and its operations to record.reproducer; "" and why, when it cannot be written."""
    path = options.folder() / f"regraft-{os.getpid()}-{record.number}.txt"
    reason = "\n".join(f"#   {line}" for line in record.reason.splitlines())
    command = f"regraft opt {path} -p '{pipeline_of(options)}'"
    try:
        if record.operations:
            path.with_suffix(".ops").write_text(record.operations, encoding="utf-8")
            command += f" --ops {path.with_suffix('.ops')}"
        path.write_text(f"# regraft {library.version()} left a graph as it came:\n{reason}\n# {command}\n"
                        f"{_readable(graph, record)}", encoding="utf-8")
    except Exception as error:
        return f"; its reproducer cannot be written: {error}"
    record.reproducer = str(path)
    return f"; reproducer: {path}"


def _left(graph, options, record, error):
    record.outcome = "left"
    record.reason = f"{type(error).__name__}: {error}"
    reproducer = _reproducer(graph, options, record)
    warnings.warn(f"regraft left graph {record.number} as it came: {record.reason}{reproducer}", RegraftWarning, stacklevel=4)


class _NoCollection:
    """No collection of garbage while a graph is worked on in any thread: it would walk over all that the compiler has made so far,
    several times."""

    def __init__(self):
        self.lock, self.inside, self.collecting = threading.Lock(), 0, False

    def __enter__(self):
        with self.lock:
            if self.inside == 0:
                self.collecting = gc.isenabled()
                gc.disable()
            self.inside += 1

    def __exit__(self, *exception):
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and self.collecting:
                gc.enable()


_no_collection = _NoCollection()


def optimize(graph, options, keep_clones=True):
    """Runs the pipeline over a torch.fx.Graph, in place. Returns its report; never raises. With `keep_clones` false, copies
    that are needed are not spelled as aten.clone: for an engine whose own passes take out clones without a proof."""
    record = LOG.start()
    with _no_collection:
        try:
            _optimize(graph, options, record, keep_clones)
        except Exception as error:
            _left(graph, options, record, error)
    try:
        LOG.add(record, options)
    except Exception as error:  # the file for reports cannot be written
        warnings.warn(f"regraft cannot add graph {record.number} to {options.report}: {error}", RegraftWarning, stacklevel=3)
    return record
