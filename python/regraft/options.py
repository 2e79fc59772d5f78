"""Options: from a call, from REGRAFT_* in the environment, or from the file that REGRAFT_OPTIONS names."""
import dataclasses
import difflib
import json
import os
import pathlib
import tempfile
import warnings

LIVE_PIPELINE_END = "place,realize-written,dce"
OTHER_VARIABLES = ("options", "library", "kernels")  # REGRAFT_* that are no options


class RegraftWarning(UserWarning):
    """A graph was left as it came, or something that was asked for cannot be."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What a pass is to do.

    pipeline      passes as in `regraft opt -p`; "": the default ones, then fuse{raised=none},place,realize-written,dce
    contracts     strides that operations are owed, as in `regraft explain --contract`
    operations    a file of schemas, as in `regraft opt --ops`
    bisect_limit  run only that many passes; -1: all
    directory     where reproducers of failures go; "": the folder for temporary files
    report        a file that gets the report of each graph as it is compiled; processes may share it
    keep          of how many graphs report() and save_graph() know; the last ones
    verify        run the verifier after each pass
    fuse          put fused operations in, where there are some
    tokens        the numbers of tokens that graphs are for, as in `regraft why --tokens`; "": all
    prefer        whose fused operations, where both are there: "regraft", or "engine" (vLLM's)
    """
    pipeline: str = ""
    contracts: tuple = ()
    operations: str = ""
    bisect_limit: int = -1
    directory: str = ""
    report: str = ""
    keep: int = 64
    verify: bool = True
    fuse: bool = True
    tokens: str = ""
    prefer: str = "regraft"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _convert(field.name, getattr(self, field.name), type(field.default)))
        if self.prefer not in ("regraft", "engine"):
            raise ValueError(f"regraft: prefer must be regraft or engine, not '{self.prefer}'")
        if self.keep < 0:
            raise ValueError(f"regraft: keep must be a number of graphs, not {self.keep}")

    def folder(self):
        return pathlib.Path(self.directory or tempfile.gettempdir())


def _convert(name, value, kind):
    """The value of an option, from a text or from Python; `name` as the user wrote it."""
    if kind is bool:
        if value not in ("0", "1", 0, 1):
            raise ValueError(f"regraft: {name} must be 0 or 1, not '{value}'")
        return bool(int(value))
    if kind is int:
        try:
            return int(value) if isinstance(value, str) else value.__index__()
        except (ValueError, AttributeError):
            raise ValueError(f"regraft: {name} must be a number, not '{value}'") from None
    if kind is tuple:
        items = tuple(value.split()) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
            raise ValueError(f"regraft: {name} must be texts, not {value!r}")
        return tuple(items)
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"regraft: {name} must be a text, not {value!r}")
    return os.fspath(value)


def _of_file(path, fields):
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"regraft: the file of options that REGRAFT_OPTIONS names cannot be read: {path}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f'regraft: {path} must hold options by name, as in {{"fuse": 1}}')
    unknown = sorted(set(found) - set(fields))
    if unknown:
        raise ValueError(f"regraft: {path} has an option '{unknown[0]}'; there are: {', '.join(fields)}")
    return {name: _convert(f"{name} in {path}", value, type(fields[name].default)) for name, value in found.items()}


def _of_environment(fields):
    """What REGRAFT_* say; one that is nearly an option is taken for a slip."""
    found, known = {}, {*fields, *OTHER_VARIABLES}
    for variable, text in sorted(os.environ.items()):
        name = variable.removeprefix("REGRAFT_").lower()
        if not variable.startswith("REGRAFT_") or (name in known and name not in fields):
            continue
        if name in fields and variable == f"REGRAFT_{name.upper()}":
            kind = type(fields[name].default)
            if text or kind in (str, tuple):  # an empty number says nothing
                found[name] = _convert(variable, text, kind)
        elif near := difflib.get_close_matches(name, known, 1):
            warnings.warn(f"regraft: {variable} is no option; was REGRAFT_{near[0].upper()} meant?", RegraftWarning, stacklevel=5)
    return found


def make(**given):
    """Options of a call; what is not given comes from the environment, and then from the file that it names."""
    fields = {field.name: field for field in dataclasses.fields(Options)}
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise TypeError(f"regraft: there is no option '{unknown[0]}'; there are: {', '.join(fields)}")
    path = os.environ.get("REGRAFT_OPTIONS")
    return Options(**{**(_of_file(path, fields) if path else {}), **_of_environment(fields), **given})
