"""Silence on file descriptor 2 ends, whoever asked for it, and harms nobody."""

import os
import subprocess
import sys
import threading

import pytest

from segcore._files import quiet_stderr


def where(descriptor=2):
    """What a file descriptor leads to."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def test_it_leads_nowhere_inside_and_back_afterwards():
    before = where()
    with pytest.raises(RuntimeError, match="raised as ever"), quiet_stderr():
        assert where() != before
        with quiet_stderr():
            assert where() != before
        assert where() != before  # the inner block does not end the outer one
        raise RuntimeError("raised as ever")
    assert where() == before


def test_blocks_of_many_threads_end_as_one():
    """Each thread leaves in another order than it came; the last one brings it back."""
    before, come, leave = where(), threading.Barrier(9), threading.Barrier(9)

    def stay():
        with quiet_stderr():
            come.wait(10)
            leave.wait(10)

    threads = [threading.Thread(target=stay) for _ in range(8)]
    for thread in threads:
        thread.start()
    come.wait(10)
    assert where() != before
    leave.wait(10)
    for thread in threads:
        thread.join()
    assert where() == before
    opened = os.dup(2)
    os.close(opened)
    for _ in range(100):
        with quiet_stderr():
            pass
    again = os.dup(2)
    os.close(again)
    assert again == opened  # no descriptor leaks


def test_without_a_free_descriptor_nothing_is_counted(monkeypatch):
    """A block that could not open used to count, so that no later one silenced anything."""
    before = where()
    with monkeypatch.context() as patch:
        patch.setattr(os, "devnull", "/nowhere/at/all")
        with pytest.raises(OSError, match="nowhere"), quiet_stderr():
            pass
    with quiet_stderr():
        assert where() != before
    assert where() == before


def test_eight_loads_at_once_leave_standard_error_alone():
    code = """
import os, threading, segcore
before = os.fstat(2).st_ino
threads = [threading.Thread(target=segcore.load) for _ in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
assert os.fstat(2).st_ino == before
os.write(2, b"heard")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.endswith("heard"), done.stderr


@pytest.mark.parametrize("code", ["import segcore; segcore.load()", "import segcore._keras"])
def test_a_process_without_standard_error_works(code):
    run = f"{code}; import os\ntry: os.fstat(2)\nexcept OSError: print('still closed')"
    line = f'exec "{sys.executable}" -c "$CODE" 2>&-'
    done = subprocess.run(
        ["sh", "-c", line], env=os.environ | {"CODE": run}, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 0 and done.stdout == "still closed\n"


def test_importing_keras_runs_no_operation():
    """TensorFlow makes its context with the first operation, and with it a choice of devices."""
    code = """
from segcore._keras import keras
from tensorflow.python.eager import context
assert context.context_safe() is None or not context.context()._initialized
"""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
