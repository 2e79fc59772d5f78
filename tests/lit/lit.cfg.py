"""lit's configuration. A test is a text file with RUN lines; in them:

  regraft      the tool that was built
  %s, %S, %t   this file, its folder, a scratch file of this test's own
  %graphs      the captured graphs, unpacked
  %exit N ...  runs a command that has to end with the exit code N
"""
import os

import lit.formats

config.name = "regraft"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".txt", ".test"]
config.excludes = ["Inputs"]
config.test_exec_root = lit_config.params["scratch"]

config.substitutions += [
    ("%graphs", lit_config.params["graphs"]),
    ("%exit", os.path.join(os.path.dirname(__file__), "exit_code")),
]

# `regraft` as a word, and LLVM's FileCheck and not, are found through PATH.
tool_folder = os.path.dirname(lit_config.params["tool"])
config.environment["PATH"] = os.pathsep.join([tool_folder, "/usr/lib/llvm-14/bin", os.environ["PATH"]])
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
