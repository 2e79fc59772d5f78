"""regraft: makes in-place operations in PyTorch graphs in place again, by proof.

    import regraft
    regraft.enable()                        every torch.compile from now on
    with regraft.enabled(): ...             the same for a block
    regraft.InductorPass(...)               for torch.compile(options={"post_grad_custom_post_pass": ...})
    print(regraft.report())                 what was done: text; .dict(), .json()
    regraft.save_graph("graphs.txt")        the graphs as they came, for the tool

The tool is `python -m regraft`; it needs no PyTorch. Options: regraft.Options; docs/pytorch.md."""
__all__ = ["InductorPass", "Options", "RegraftWarning", "disable", "enable", "enabled", "report", "save_graph", "version"]

_OF_INDUCTOR = ("InductorPass", "disable", "enable", "enabled")


def __getattr__(name):
    """What there is, when it is first asked for: vLLM imports the package in every process that has it installed."""
    if name in _OF_INDUCTOR:  # these need PyTorch; the rest does not
        try:
            import torch  # noqa: F401
        except ImportError:
            raise ImportError(f"regraft.{name} needs PyTorch, which is not installed here; the tool works without: "
                              "python -m regraft") from None
        from . import inductor
        return getattr(inductor, name)
    if name in ("Options", "RegraftWarning"):
        from . import options
        return getattr(options, name)
    raise AttributeError(f"module 'regraft' has no attribute '{name}'")


def report():
    """What was done to each graph since the program started: str() of it is the text, .dict() and .json() the same."""
    from .records import LOG
    return LOG.report()


def save_graph(path):
    """Writes the last graphs as they came to PATH, and the schemas of their operations to PATH.ops: input for the tool."""
    from .records import LOG
    LOG.save(path)


def version():
    """Of the library."""
    from . import library
    return library.version()
