"""Options: from a call, from REGRAFT_* in the environment, or from the file that REGRAFT_OPTIONS names."""
import dataclasses
import json
import os
import pathlib
import tempfile

LIVE_PIPELINE_END = "place,realize-written,dce"


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
        if self.prefer not in ("regraft", "engine"):
            raise ValueError(f"regraft: prefer must be regraft or engine, not '{self.prefer}'")

    def folder(self):
        return pathlib.Path(self.directory or tempfile.gettempdir())


def _convert(name, text, kind):
    if kind is bool:
        if text not in ("0", "1"):
            raise ValueError(f"regraft: {name} must be 0 or 1, not '{text}'")
        return text == "1"
    if kind is tuple:
        return tuple(text.split()) if isinstance(text, str) else tuple(text)
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"regraft: {name} must be a number, not '{text}'") from None


def make(**given):
    """Options of a call; what is not given comes from the environment, and then from the file that it names."""
    fields = {field.name: field for field in dataclasses.fields(Options)}
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise TypeError(f"regraft: there is no option '{unknown[0]}'; there are: {', '.join(fields)}")
    found = {}
    path = os.environ.get("REGRAFT_OPTIONS")
    if path:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        unknown = sorted(set(found) - set(fields))
        if unknown:
            raise ValueError(f"regraft: {path} has an option '{unknown[0]}'; there are: {', '.join(fields)}")
    for name, field in fields.items():
        text = os.environ.get(f"REGRAFT_{name.upper()}")
        if text is not None:
            found[name] = _convert(f"REGRAFT_{name.upper()}", text, type(field.default))
    found.update(given)
    if "contracts" in found:
        found["contracts"] = tuple(found["contracts"])
    return Options(**found)
