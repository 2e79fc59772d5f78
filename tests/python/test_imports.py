"""What is said where PyTorch or vLLM is missing, is old, or has moved; each in a process of its own."""
import os
import subprocess
import sys

import pytest
from conftest import ROOT

STUB = "import sys, types\n"
NO_TORCH = STUB + "sys.modules['torch'] = None\n"
OLD_TORCH = STUB + "torch = types.ModuleType('torch'); torch.__version__ = '2.5.1'; torch.__path__ = []\nsys.modules['torch'] = torch\n"


def python(program, folder=None, **environment):
    path = os.pathsep.join(filter(None, [str(folder) if folder else "", str(ROOT / "python")]))
    variables = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_D")}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                          env=variables | {"PYTHONPATH": path} | environment)


def package(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_without_pytorch_the_report_and_the_tool_are_there():
    result = python(NO_TORCH + "import regraft\nprint(regraft.report(), regraft.version())\nregraft.Options()")
    assert result.returncode == 0 and result.stdout.startswith("no graph was compiled with regraft"), result.stderr
    tool = python(NO_TORCH + "import runpy\nsys.argv = ['regraft', '--version']\nrunpy.run_module('regraft', run_name='__main__')")
    assert tool.returncode == 0 and tool.stdout.startswith("regraft "), tool.stderr


@pytest.mark.parametrize("name", ["enable()", "InductorPass()", "disable()"])
def test_without_pytorch_the_rest_says_so(name):
    result = python(NO_TORCH + f"import regraft\nregraft.{name}")
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: regraft.{name[:-2]} needs PyTorch, which is not installed here; the tool works"), last


def test_an_old_pytorch_is_named():
    result = python(OLD_TORCH + "import regraft\nregraft.report()\nregraft.enable()")
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: regraft needs PyTorch 2.11 or later to run inside torch.compile; 2.5.1 lacks:"), last


REGISTER = "import sys, regraft.vllm_plugin as plugin\nplugin.register()\nprint('torch' in sys.modules, plugin._enabled)"


@pytest.mark.parametrize("value", ["", "0"])
def test_the_plugin_is_inert_unless_asked_for(value):
    assert python(REGISTER, REGRAFT=value).stdout == "False False\n"


@pytest.mark.parametrize("environment, message", [
    ({"REGRAFT": "true"}, "regraft is off: REGRAFT must be 1 or 0, not 'true'"),
    ({"REGRAFT": "1", "REGRAFT_VERIFY": "yes"}, "regraft is off in this vLLM: regraft: REGRAFT_VERIFY must be 0 or 1, not 'yes'"),
    ({"REGRAFT": "1", "REGRAFT_OPTIONS": "/nowhere"}, "regraft is off in this vLLM: regraft: the file of options that REGRAFT_OPTIONS names")])
@pytest.mark.parametrize("cpu", [True, False])
def test_the_plugin_with_options_that_are_wrong(tmp_path, environment, message, cpu):
    package(tmp_path, {"vllm/__init__.py": "", "vllm/platforms.py": PLATFORM.format(cpu), "vllm/config.py": CONFIG,
                       "vllm/compilation/inductor_pass.py": "class InductorPass:\n    pass\n"})
    result = python(BEFORE.format("") + REGISTER + MAKE, tmp_path, **environment)
    assert result.stdout.splitlines()[-1:] == ["[]"] and message in result.stderr, result.stderr


def test_the_plugin_costs_nothing_unless_asked_for():
    """It loads nothing but itself."""
    result = python("import contextlib, functools, importlib.metadata, importlib.util, logging, sys\nbefore = set(sys.modules)\n" + REGISTER
                    + "\nprint(*sorted(set(sys.modules) - before))", REGRAFT="", REGRAFT_LIBRARY="/nowhere")
    assert result.stdout.splitlines()[1].split() == ["regraft", "regraft.vllm_plugin"], result.stderr


def test_the_functions_are_no_modules():
    """A module of the package that has the name of a function would take its place when it is loaded."""
    result = python("import pkgutil, regraft\nprint({module.name for module in pkgutil.iter_modules(regraft.__path__)} & {*regraft.__all__})")
    assert result.stdout == "set()\n", result.stderr


def test_the_plugin_without_vllm(tmp_path):
    absent = "import sys\nimport importlib.util as util\nfind = util.find_spec\n" \
             "util.find_spec = lambda name, *rest: None if name == 'vllm' else find(name, *rest)\n"
    last = python(absent + REGISTER, REGRAFT="1").stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: regraft.vllm_plugin is for vLLM, which is not installed here"), last


PLATFORM = "class current_platform:\n    @staticmethod\n    def is_cpu():\n        return {}\n"


def test_the_plugin_on_cpus_puts_the_pass_into_inductor(tmp_path):
    package(tmp_path, {"vllm/__init__.py": "", "vllm/platforms.py": PLATFORM.format(True)})
    result = python(REGISTER + "\nimport torch._inductor.config as config\nprint(type(config.post_grad_custom_post_pass).__name__)",
                    tmp_path, REGRAFT="1")
    assert result.stdout.splitlines()[-1:] == ["InductorPass"], result.stderr


CONFIG = """
class CompilationConfig:
    def __init__(self, **passes):
        self.inductor_compile_config = passes


class VllmConfig:
    def __init__(self, compilation_config):
        self.compilation_config = compilation_config
        self.__post_init__()

    def __post_init__(self):
        pass
"""
# vLLM makes a CompilationConfig before it loads plugins
BEFORE = "from vllm.config import CompilationConfig, VllmConfig\nconfig = CompilationConfig({})\n"
MAKE = "\nVllmConfig(config)\nprint(sorted(config.inductor_compile_config))"


def test_the_plugin_elsewhere_puts_the_pass_into_every_configuration(tmp_path):
    package(tmp_path, {"vllm/__init__.py": "", "vllm/platforms.py": PLATFORM.format(False), "vllm/config.py": CONFIG,
                       "vllm/compilation/inductor_pass.py": "class InductorPass:\n    pass\n"})
    result = python(BEFORE.format("") + REGISTER + MAKE, tmp_path, REGRAFT="1")
    assert result.stdout.splitlines()[-1:] == ["['post_grad_custom_post_pass']"], result.stderr


PREVIOUS = """
class Previous:
    def uuid(self):
        return "previous"

    def is_applicable_for_range(self, compile_range):
        return compile_range == 1

    def __call__(self, graph):
        print("previous ran")


"""
CALL = """
import pickle
put = pickle.loads(pickle.dumps(config.inductor_compile_config["post_grad_custom_post_pass"]))
VllmConfig(config)
assert put.uuid().startswith("previous ") and isinstance(put.previous, Previous)
for compile_range in (1, 2):
    assert put.is_applicable_for_range(compile_range)
    put(None)
"""


def test_a_pass_that_a_user_has_put_there_runs_first(tmp_path):
    package(tmp_path, {"vllm/__init__.py": "", "vllm/platforms.py": PLATFORM.format(False), "vllm/config.py": CONFIG,
                       "vllm/compilation/inductor_pass.py": "class InductorPass:\n    pass\n"})
    given = BEFORE.format("post_grad_custom_post_pass=Previous()")
    result = python(PREVIOUS + given + REGISTER + MAKE + CALL, tmp_path, REGRAFT="1")
    assert result.stdout.count("previous ran") == 1 and "Traceback" not in result.stderr, result.stderr


def test_a_vllm_that_lacks_something_runs_on_without(tmp_path):
    package(tmp_path, {"vllm/__init__.py": "", "vllm/platforms.py": PLATFORM.format(False), "vllm/config.py": CONFIG})
    result = python(BEFORE.format("") + REGISTER + MAKE, tmp_path, REGRAFT="1")
    assert result.stdout.splitlines()[-1:] == ["[]"], result.stderr
    assert "regraft is off in this vLLM: No module named 'vllm.compilation'" in result.stderr


@pytest.mark.parametrize("content, message", [(None, "libregraft.so is not there"), ("no library", "cannot be loaded: ")])
def test_without_the_library_the_tool_says_so_and_vllm_runs_on(tmp_path, content, message):
    library = tmp_path / "libregraft.so"
    if content:
        library.write_text(content)
    package(tmp_path, {"vllm/__init__.py": "", "vllm/platforms.py": PLATFORM.format(True)})
    result = python(REGISTER, tmp_path, REGRAFT="1", REGRAFT_LIBRARY=str(library))
    assert result.returncode == 0 and "regraft is off in this vLLM: regraft: " in result.stderr and message in result.stderr
    last = python("import regraft\nregraft.enable()", REGRAFT_LIBRARY=str(library)).stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: regraft: ") and message in last
