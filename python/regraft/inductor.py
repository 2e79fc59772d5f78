"""The pass for Inductor's `post_grad_custom_post_pass`, and switching it on for every torch.compile."""
import contextlib
import functools
import hashlib
import pathlib
import threading

import torch

try:
    import torch._inductor.config as inductor_config
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

    def __init__(self, **options):
        self.options = options_.make(**options)

    def __call__(self, graph):
        optimize(graph, self.options)

    def uuid(self):
        """What a cache of compiled graphs must tell apart."""
        content = "\0".join([_fingerprint(), pipeline_of(self.options), repr(self.options)])
        if self.options.operations:
            content += pathlib.Path(self.options.operations).read_text()
        return hashlib.sha256(content.encode()).hexdigest()


class Chain(CustomGraphPass):
    """A pass that stood there before, and regraft behind it."""

    def __init__(self, first, last):
        self.first, self.last = first, last

    def __call__(self, graph):
        for one in self.first if isinstance(self.first, (list, tuple)) else [self.first]:
            one(graph)
        self.last(graph)

    def uuid(self):
        first = self.first if isinstance(self.first, (list, tuple)) else [self.first]
        identities = [one.uuid() if isinstance(one, CustomGraphPass) else None for one in first]
        # a pass without identity keeps compiled graphs from being cached, as it would alone
        return None if None in identities else (tuple(identities), self.last.uuid())


_lock = threading.Lock()
_previous = []  # (what stood there, what was put there), the last one on top


def enable(**options):
    """Every torch.compile from now on runs regraft before Inductor's lowering, behind a pass that is set already."""
    ours = InductorPass(**options)
    library.load()
    with _lock:
        previous = inductor_config.post_grad_custom_post_pass
        put = ours if previous is None else Chain(previous, ours)
        _previous.append((previous, put))
        inductor_config.post_grad_custom_post_pass = put


def disable():
    """Undoes the last enable(). What others have set since then stays."""
    with _lock:
        if not _previous:
            return
        previous, put = _previous.pop()
        if inductor_config.post_grad_custom_post_pass is put:
            inductor_config.post_grad_custom_post_pass = previous


@contextlib.contextmanager
def enabled(**options):
    """with regraft.enabled(...): enable() and disable() around a block."""
    enable(**options)
    try:
        yield
    finally:
        disable()
