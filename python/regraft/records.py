"""What was done to each graph, in the words of the tool; kept for report() and save_graph()."""
import collections
import dataclasses
import json
import os
import threading


@dataclasses.dataclass
class Copy:
    """A copy that is left, as `regraft explain` lists it."""
    node: str
    bytes: str
    place: str
    why: str
    source: str
    remedy: str
    own: bool
    inlined: bool  # Inductor computes the value where it is put: no kernel only moves it


@dataclasses.dataclass
class Remark:
    """What a pass did, or refused."""
    pass_name: str
    node: str
    source: str
    text: str
    applied: bool


@dataclasses.dataclass
class Fusion:
    """A rule at one place, as `regraft why` lists it: "fired", "beaten" by another or "missed"."""
    rule: str
    outcome: str
    anchor: str
    node: str
    source: str
    text: str
    remedy: str


@dataclasses.dataclass
class Graph:
    """What became of one graph. `outcome` is "changed", "unchanged", or "left": as it came, for `reason`."""
    number: int
    outcome: str = "left"
    reason: str = ""
    reproducer: str = ""
    nodes_before: int = 0
    nodes_after: int = 0
    copies: list = dataclasses.field(default_factory=list)
    remarks: list = dataclasses.field(default_factory=list)
    fusions: list = dataclasses.field(default_factory=list)
    broken: list = dataclasses.field(default_factory=list)
    seconds: dict = dataclasses.field(default_factory=dict)
    original: object = dataclasses.field(default=None, repr=False)  # str() of it is the text of the graph as it came
    operations: str = dataclasses.field(default="", repr=False)

    def own(self, own):
        return [copy for copy in self.copies if copy.own == own]

    def print(self):
        lines = [f"graph {self.number}: {self.outcome}, {self.nodes_before} nodes"]
        if self.outcome == "left":
            lines[0] += f", as it came: {self.reason}"
            if self.reproducer:
                lines.append(f"  reproducer: {self.reproducer}")
            return lines
        lines[0] += f", {self.nodes_after} after, {sum(self.seconds.values()) * 1e3:.1f} ms"
        placed = sum(remark.pass_name == "place" and remark.applied for remark in self.remarks)
        lines.append(f"{placed} {'call or update writes' if placed == 1 else 'calls and updates write'} in place")
        for row in self.broken:
            lines.append(f"{row['operation']} of {row['package']} {row['version']} {row['why']}: "
                         f"{len(row['calls'])} {'call stays' if len(row['calls']) == 1 else 'calls stay'} copied")
        lines += _fusions(self.fusions)
        copies, own = self.own(False), self.own(True)
        lines.append(f"{len(copies)} {'copy' if len(copies) == 1 else 'copies'}")
        lines += _copies(copies)
        if own:
            lines.append(f"{len(own)} the model asks for")
            lines += _copies(own)
        return lines

    def dict(self):
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)
                   if field.name not in ("original", "operations")}
        for name in ("copies", "remarks", "fusions"):
            content[name] = [dataclasses.asdict(item) for item in content[name]]
        return content


def _fusions(fusions):
    """Rule by rule, as `regraft why` prints them."""
    for rule in dict.fromkeys(fusion.rule for fusion in fusions):
        places = [fusion for fusion in fusions if fusion.rule == rule]
        fired = sum(place.outcome == "fired" for place in places)
        yield f"{rule}: fired {fired} {'time' if fired == 1 else 'times'}, missed {len(places) - fired}"
        for place in places:
            yield f"  {place.outcome} at {place.anchor}" + (f" ({place.source})" if place.source else "")
            if place.outcome == "fired":
                yield f"    calls   {place.text}"
                continue
            yield f"    why     {place.text}"
            if place.node != place.anchor:
                yield f"    node    {place.node}"
            if place.remedy:
                yield f"    remedy  {place.remedy}"


def _copies(copies):
    for copy in copies:
        yield f"{copy.node}: {copy.bytes} bytes"
        yield f"    of      {copy.place}"
        yield f"    why     {copy.why}"
        if copy.inlined:
            yield "    cost    none with Inductor, which computes the value in this place"
        if copy.source:
            yield f"    source  {copy.source}"
        if copy.remedy:
            yield f"    remedy  {copy.remedy}"


class Report:
    """The graphs in the order in which they were compiled; str() is the text."""

    def __init__(self, graphs):
        self.graphs = list(graphs)

    def __str__(self):
        if not self.graphs:
            return "no graph was compiled with regraft"
        return "\n\n".join("\n".join(graph.print()) for graph in self.graphs)

    def dict(self):
        return {"graphs": [graph.dict() for graph in self.graphs]}

    def json(self):
        return json.dumps(self.dict(), indent=2)


class Log:
    """The last graphs of this process; threads may share it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._graphs = collections.deque()
        self._count = 0

    def start(self):
        with self._lock:
            self._count += 1
            return Graph(self._count - 1)

    def add(self, graph, options):
        with self._lock:
            self._graphs.append(graph)
            while len(self._graphs) > options.keep:
                self._graphs.popleft()
            if options.report:
                text = f"process {os.getpid()}, " + "\n".join(graph.print()) + "\n\n"
                with open(options.report, "ab", buffering=0) as file:  # written at once, as processes share it
                    file.write(text.encode())

    def report(self):
        with self._lock:
            return Report(self._graphs)

    def clear(self):
        with self._lock:
            self._graphs.clear()
            self._count = 0

    def save(self, path):
        """Writes the texts of the kept graphs, one behind the other, and their operations to PATH.ops when there are any."""
        graphs = [graph for graph in self.report().graphs if graph.original]
        if not graphs:
            raise ValueError("regraft: no graph was compiled with regraft, so there is none to save")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(f"# graph {graph.number}\n{graph.original}" for graph in graphs))
        operations = sorted({line for graph in graphs for line in graph.operations.splitlines()})
        if operations:
            with open(f"{path}.ops", "w", encoding="utf-8") as file:
                file.write("\n".join(operations) + "\n")


LOG = Log()
