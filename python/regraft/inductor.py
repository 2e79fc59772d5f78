"""The pass for Inductor's `post_grad_custom_post_pass`, and switching it on for every torch.compile."""
import contextlib
import contextvars
import functools
import hashlib
import pathlib
import threading

import torch

try:
    import torch._inductor.config as inductor_config
    import torch.utils._config_module
    from torch._inductor import custom_graph_pass
    from torch._inductor.custom_graph_pass import CustomGraphPass
    inductor_config.post_grad_custom_post_pass  # noqa: B018
except (ImportError, AttributeError) as error:
    raise ImportError(f"regraft needs PyTorch 2.11 or later to run inside torch.compile; {torch.__version__} lacks: "
                      f"{error}. The tool works without: python -m regraft") from error

from . import library
from . import options as options_
from .bridge import optimize, pipeline_of


@functools.cache
def _fingerprint():
    """Of the library and of this package."""
    digest = hashlib.sha256(library.path().read_bytes())
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class InductorPass(CustomGraphPass):
    """regraft as one of Inductor's passes. Options are those of regraft.Options."""

    on = True  # disable() turns a pass of enable() off, wherever PyTorch has put it meanwhile

    def __init__(self, **options):
        self.options = options_.make(**options)

    def __call__(self, graph):
        if self.on:
            optimize(graph, self.options)

    def uuid(self):
        """What a cache of compiled graphs must tell apart."""
        if not self.on:
            return "regraft is off"
        content = "\0".join([_fingerprint(), pipeline_of(self.options), repr(self.options), _operations(self.options)])
        return hashlib.sha256(content.encode()).hexdigest()


def _operations(options):
    """What the file of schemas says; where it cannot be read, graphs are left as they came, and say why."""
    try:
        return pathlib.Path(options.operations).read_text(encoding="utf-8") if options.operations else ""
    except (OSError, UnicodeDecodeError) as error:
        return str(error)


class Chain(CustomGraphPass):
    """A pass that stood there before, and regraft behind it, where the configuration takes no list of passes."""

    def __init__(self, first, last):
        self.first, self.last = first, last

    def __call__(self, graph):
        self.first(graph)
        self.last(graph)

    def uuid(self):
        first = self.first.uuid() if isinstance(self.first, CustomGraphPass) else None
        # a pass without identity keeps compiled graphs from being cached, as it would alone
        return first and (first, self.last.uuid())


def _behind(previous, ours):
    """`ours` behind what stands there."""
    if previous is None:
        return ours
    passes = getattr(custom_graph_pass, "get_custom_graph_passes", None)
    return Chain(previous, ours) if passes is None else [*passes(previous), ours]


# ---- where it is put ----

class _Place:
    """Where PyTorch looks for the pass: what stood there before, and the passes of enable() behind it, in any order of leaving."""

    def __init__(self):
        self.before, self.passes, self.put = None, [], None

    def add(self, ours):
        found = self.get()
        if not self.passes or found is not self.put:  # others have set something since then
            self.before, self.passes = found, []
        self._show([*self._on(), ours])

    def remove_what_is_off(self):
        """What others have set since then stays, with ours that are off in it."""
        left = self._on()
        if len(left) < len(self.passes) and self.get() is self.put:
            self._show(left)

    def _on(self):
        return [ours for ours in self.passes if ours.on]

    def _show(self, passes):
        self.passes, self.put = passes, functools.reduce(_behind, passes, self.before)
        self.set(self.put)


class _Configuration(_Place):
    """The pass of Inductor's configuration, as this thread sees it."""

    @staticmethod
    def get():
        return inductor_config.post_grad_custom_post_pass

    @staticmethod
    def set(value):
        inductor_config.post_grad_custom_post_pass = value


class _OfThread(threading.local, _Configuration):
    """Since PyTorch 2.13 an assignment is seen only by the thread that makes it."""


class _OfProcess(_Place):
    """What all threads see that have none of their own: in PyTorch 2.13, what comes from outside, such as the environment."""

    def __init__(self, entry):
        super().__init__()
        self._entry = entry

    def get(self):
        return None if self._entry.env_value_default is _UNSET else self._entry.env_value_default

    def set(self, value):
        self._entry.env_value_default = _UNSET if value is None else value


def _places():
    """The place of the process, where PyTorch has one, and that of a thread."""
    entry = getattr(inductor_config, "_config", {}).get("post_grad_custom_post_pass")
    if isinstance(getattr(entry, "user_override", None), contextvars.ContextVar):
        return [_OfProcess(entry), _OfThread()]
    return [_Configuration()]


_UNSET = getattr(torch.utils._config_module, "_UNSET_SENTINEL", None)
_lock = threading.Lock()
_PLACES = _places()
_enabled = []  # of each enable(): (its thread, its pass), the last one on top


def enable(**options):
    """Every torch.compile from now on, in every thread, runs regraft before Inductor's lowering, behind a pass that is set already."""
    _enable(options)


def _enable(options):
    ours = InductorPass(**options)
    library.load()
    with _lock:
        seen = _Configuration.get()
        for place in _PLACES:
            if _Configuration.get() is seen:  # this thread does not see it yet: it has a pass of its own
                place.add(ours)
        _enabled.append((threading.get_ident(), ours))
    return ours


def disable():
    """Undoes the last enable(), of this thread if there is one. What others have set since then stays."""
    with _lock:
        mine = [ours for thread, ours in _enabled if thread == threading.get_ident()]
        if _enabled:
            _remove((mine or [_enabled[-1][1]])[-1])


def _remove(ours):
    ours.on = False
    _enabled[:] = [one for one in _enabled if one[1] is not ours]
    for place in _PLACES:
        place.remove_what_is_off()


@contextlib.contextmanager
def enabled(**options):
    """with regraft.enabled(...): enable() and disable() around a block."""
    ours = _enable(options)
    try:
        yield
    finally:
        with _lock:
            _remove(ours)
