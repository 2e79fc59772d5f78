"""vLLM: registered as a plugin (vllm.general_plugins), and inert unless REGRAFT=1 is in the environment.

On CPUs vLLM runs no passes of its own: there the pass goes into Inductor's configuration. Elsewhere it goes into
compilation_config.inductor_compile_config, from where vLLM's pass manager takes it: behind vLLM's own fusions and before its
fix-functionalization."""
import contextlib
import functools
import importlib.metadata
import importlib.util
import logging
import os

KEY = "post_grad_custom_post_pass"


def _log(text, *arguments):
    logging.getLogger("vllm.regraft").info(text, *arguments)


def _inductor_pass_class():
    """vLLM's base class of passes; it has moved."""
    try:
        from vllm.compilation.passes.inductor_pass import InductorPass
    except ImportError:
        from vllm.compilation.inductor_pass import InductorPass
    return InductorPass


@functools.cache
def pass_class():
    """The pass as vLLM's pass manager wants it."""
    from .bridge import optimize
    from .inductor import InductorPass

    class RegraftPass(_inductor_pass_class()):
        """regraft, behind a pass that the user has put there, if any."""

        def __init__(self, inner=None, previous=None):
            self.inner, self.previous, self.previous_applies = inner or InductorPass(), previous, previous is not None

        def is_applicable_for_range(self, compile_range):
            """vLLM asks before each call."""
            applies = getattr(self.previous, "is_applicable_for_range", None)
            self.previous_applies = self.previous is not None and (applies is None or applies(compile_range))
            return True

        def __call__(self, graph):
            if self.previous_applies:
                self.previous(graph)
            # vLLM's UnsafeCloneEliminationPass, which comes later, takes clones for its own
            record = optimize(graph, self.inner.options, keep_clones=False)
            _log("regraft: %s", record.print()[0])

        def uuid(self):
            return self.inner.uuid() if self.previous is None else f"{self.previous.uuid()} {self.inner.uuid()}"

        def __reduce__(self):
            return _make_pass, (self.inner.options, self.previous)
    return RegraftPass


def _make_pass(options, previous):
    from .inductor import InductorPass
    inner = InductorPass()
    inner.options = options
    return pass_class()(inner, previous)


def _add_to_configurations():
    """Every engine's configuration that is made from now on has the pass. Not when a CompilationConfig is made: a program may make
    one, or vLLM.LLM for it, before plugins are loaded."""
    from vllm.config import VllmConfig
    if hasattr(VllmConfig.__post_init__, "_regraft"):
        return
    original = VllmConfig.__post_init__

    @functools.wraps(original)
    def post_init(self, *arguments, **keywords):
        passes = self.compilation_config.inductor_compile_config
        if not isinstance(passes.get(KEY), pass_class()):
            passes[KEY] = pass_class()(previous=passes.get(KEY))
        original(self, *arguments, **keywords)
    post_init._regraft = True
    VllmConfig.__post_init__ = post_init


_enabled = False


def _register_operations():
    """A graph that comes compiled out of a cache calls them before any pass has run."""
    from . import operations
    with contextlib.suppress(ImportError):
        importlib.import_module("vllm.utils.torch_utils")  # has the type of layers' names
    with contextlib.suppress(RuntimeError):  # then they are not there, and nothing is fused
        operations.register()


def _enable():
    from vllm.platforms import current_platform
    _register_operations()
    if current_platform.is_cpu():
        from .inductor import enable
        enable()
    else:
        pass_class()()  # what it needs is there, and its options are right, or nothing is changed
        _add_to_configurations()


def _vllm_version():
    try:
        return f"vLLM {importlib.metadata.version('vllm')}"
    except importlib.metadata.PackageNotFoundError:
        return "this vLLM"


def register():
    """vLLM calls this in each of its processes, in some more than once. Where vLLM lacks what is needed it runs on without."""
    global _enabled
    asked = os.environ.get("REGRAFT", "")
    if asked in ("", "0") or _enabled:
        return
    _enabled = True
    if asked != "1":
        logging.getLogger("vllm.regraft").warning("regraft is off: REGRAFT must be 1 or 0, not '%s'", asked)
        return
    from . import version
    if importlib.util.find_spec("vllm") is None:
        raise ImportError("regraft.vllm_plugin is for vLLM, which is not installed here; with PyTorch alone: regraft.enable()")
    try:
        _enable()
    except (ImportError, AttributeError, ValueError) as error:
        logging.getLogger("vllm.regraft").warning("regraft is off in %s: %s", _vllm_version(), error)
        return
    _log("regraft %s is on", version())
