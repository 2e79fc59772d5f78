"""One process: PyTorch writes its trace of all compilations to one log, for `regraft audit`."""
import os
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRACE = tempfile.mkdtemp(prefix="regraft-trace-")
os.environ.update(TORCH_TRACE=TRACE, TORCHINDUCTOR_FORCE_DISABLE_CACHES="1")
os.environ.setdefault("REGRAFT_LIBRARY", str(ROOT / "build" / "libregraft.so"))
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "python")]

import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def clean(tmp_path):
    """No reports of tests before; reproducers go into the test's folder."""
    import torch

    import regraft
    from regraft.records import LOG
    torch.set_num_threads(1)
    torch._dynamo.reset()
    LOG.clear()
    os.environ["REGRAFT_DIRECTORY"] = str(tmp_path)
    yield
    os.environ.pop("REGRAFT_DIRECTORY")
    config = torch._inductor.config
    left = config.post_grad_custom_post_pass
    if left is not None:
        config.post_grad_custom_post_pass = None  # so that it is the error of this test alone
    assert left is None, "a test left regraft on"
    del regraft
