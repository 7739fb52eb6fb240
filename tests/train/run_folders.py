"""Reading run folders, and killing the process that writes one."""

import csv
import os
import signal
import subprocess
import time


def history(run):
    """The rows of a run's history.csv."""
    with open(run.path / "history.csv") as file:
        return list(csv.DictReader(file))


def kill_after_an_epoch(command, out, patience=300):
    """Starts a command that writes a run folder, and kills it when an epoch is whole."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + patience
    while not list((out / "checkpoint").glob("epoch-*[1-9]")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
