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

class _Thread:
    """The pass of Inductor's configuration, as this thread sees it."""

    @staticmethod
    def get():
        return inductor_config.post_grad_custom_post_pass

    @staticmethod
    def set(value):
        inductor_config.post_grad_custom_post_pass = value


class _Process:
    """The same for all threads that have none of their own: since PyTorch 2.13 an assignment is seen only by the thread that makes
    it, but what comes from outside, such as the environment, by all."""

    @staticmethod
    def _entry():
        entry = getattr(inductor_config, "_config", {}).get("post_grad_custom_post_pass")
        return entry if isinstance(getattr(entry, "user_override", None), contextvars.ContextVar) else None

    @classmethod
    def get(cls):
        entry = cls._entry()
        return None if entry is None or entry.env_value_default is _UNSET else entry.env_value_default

    @classmethod
    def set(cls, value):
        if entry := cls._entry():
            entry.env_value_default = _UNSET if value is None else value


_UNSET = getattr(torch.utils._config_module, "_UNSET_SENTINEL", None)
_lock = threading.Lock()
_enabled = []  # of each enable(): (its pass, [(where it is, what stood there, what was put there)]), the last one on top


def _put(where, ours):
    previous = where.get()
    put = _behind(previous, ours)
    where.set(put)
    return where, previous, put


def enable(**options):
    """Every torch.compile from now on, in every thread, runs regraft before Inductor's lowering, behind a pass that is set already."""
    ours = InductorPass(**options)
    library.load()
    with _lock:
        seen = _Thread.get()
        places = [_put(_Process, ours)]
        if _Thread.get() is seen:  # this thread has one of its own, or PyTorch knows no other place
            places.append(_put(_Thread, ours))
        _enabled.append((ours, places))


def disable():
    """Undoes the last enable(). What others have set since then stays."""
    with _lock:
        if not _enabled:
            return
        ours, places = _enabled.pop()
        ours.on = False
        for where, previous, put in places:
            if where.get() is put:
                where.set(previous)


@contextlib.contextmanager
def enabled(**options):
    """with regraft.enabled(...): enable() and disable() around a block."""
    enable(**options)
    try:
        yield
    finally:
        disable()
