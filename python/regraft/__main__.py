"""python -m regraft: the command-line tool. It needs no PyTorch."""
import os
import sys

from . import library


def main():
    tool = library.path().parent / "regraft"
    if not tool.is_file():
        sys.exit(f"regraft: the tool is not there; expected it at {tool}")
    os.execv(tool, ["regraft", *sys.argv[1:]])


if __name__ == "__main__":
    main()
