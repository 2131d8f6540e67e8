"""Console output of a run with three small jobs: on a pipe, on a terminal, after a failure, and after Ctrl-C."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from tests.support.checkout import ROOT

SNAKEFILE = """
import os, sys
sys.path.insert(0, "SCRIPTS")
from segcert.console.command import how_to_resume
from segcert.console.handler import show_run

LOG = next(map(os.path.relpath, workflow.logger_manager.get_logfile()), None)
if workflow.is_main_process:
    show_run(
        logger,
        workflow.output_settings,
        LOG,
        is_target=lambda rule: workflow.get_rule(rule).norun,
        local=lambda: workflow.local_exec,
    )
logger.warning("a warning of the configuration")

onsuccess:
    print("The page")

onerror:
    print(*how_to_resume(LOG), sep="\\n", file=sys.stderr)

rule all:
    input: expand("{x}.txt", x=["a", "b", "c"])

rule draw_much:
    output: "{x}.txt"
    log: "{x}.log"
    params: does=lambda wildcards: config.get("does", "") if wildcards.x == "b" else ""
    script: "job.py"
"""
JOB = """
import sys, time
from pathlib import Path
with open(snakemake.log[0], "w") as log:
    print(*range(40), sep="\\\\n", file=log)
print(f"terminal: {sys.stderr.isatty()}", file=sys.stderr)
if snakemake.params.does == "fail":
    raise SystemExit("segcert: no mask")
if snakemake.params.does == "wait":
    time.sleep(60)
Path(snakemake.output[0]).touch()
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.replace("SCRIPTS", str(ROOT / "scripts")))
    (tmp_path / "job.py").write_text(JOB.replace("\\\\", "\\"))
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "VERBOSE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "host"]


def on_a_pipe(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def on_a_terminal(command, interrupt_at=None):
    """Run a command on a terminal with 80 columns; return its exit status and output.

    Send Ctrl-C once the output contains `interrupt_at`.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        termios.tcsetwinsize(0, (24, 80))
        os.execv(command[0], command)  # noqa: S606
    said = b""
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # on Linux: the command has closed the terminal
            read = b""
        if not read:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()
        said += read
        if interrupt_at and interrupt_at.encode() in said:
            interrupt_at = os.write(terminal, b"\x03") and None


def test_a_pipe_gets_short_lines_and_verbose_gets_snakemakes_output(toy, monkeypatch):
    code, said = on_a_pipe(toy)
    assert code == 0
    lines = [line for line in said.splitlines() if "terminal: False" not in line]
    assert lines[:2] == ["The page", "a warning of the configuration"]
    assert lines[2].startswith("3 jobs to run. Snakemake's log: .snakemake/log/")
    assert sorted(line.split("draw much  ")[1] for line in lines[3:6]) == ["a", "b", "c"]
    assert lines[6].startswith("Finished in ")
    assert len(lines) == 7
    assert not re.search(r"[\r\x1b]", said)
    log = Path(lines[2].split(": ")[1]).read_text()
    assert log.count("Finished jobid") == 4, "the whole log is in its file"
    assert "reason: Missing output files: a.txt" in log

    plan = on_a_pipe([*toy, "-n", "--forceall"])[1]
    assert "draw_much        3" in plan
    assert "reason: Forced execution" in plan
    monkeypatch.setenv("VERBOSE", "1")
    said = on_a_pipe([*toy, "--forceall", "--", "b.txt"])[1]
    assert "Finished jobid" in said
    assert "reason: Forced execution" in said


def test_a_failed_job_shows_the_end_of_its_log_and_how_to_resume(toy):
    code, said = on_a_pipe([*toy, "--show-failed-logs", "--config", "does=fail"])
    assert code == 1
    assert "segcert: no mask\n" in said
    assert said.count("FAILED: draw much b, after ") == 1
    assert "  end of the job's log, b.log:\n    25\n" in said
    assert said.count("    39\n") == 1
    assert re.search(r"^Snakemake's log: (.snakemake/log/\S+)$", said, re.MULTILINE)
    assert said.endswith(
        "\nTo resume: python -m snakemake --cores 1 --quiet host --show-failed-logs --config does=fail\n"
    )
    assert "Error" not in said, "no error is repeated"


def test_a_terminal_gets_a_progress_bar_below_the_output_of_jobs(toy):
    code, said = on_a_terminal(toy)
    assert code == 0
    shown = [line.rpartition("\r")[2] for line in said.replace("\r\n", "\n").splitlines()]
    assert shown.count("terminal: False") == 3, "jobs see a pipe and draw no bars"
    assert sum("draw much  " in line for line in shown) == 3
    assert re.search(r"\r1/3 \S* +\d\d:\d\d draw much", said), "the bar shows the progress and the running job"
    assert shown[-1] == "The page"


def test_ctrl_c_ends_the_jobs_and_says_how_to_resume(toy):
    code, said = on_a_terminal([*toy, "--config", "does=wait", "--", "b.txt"], interrupt_at="terminal: False")
    assert code == 1
    assert "Interrupted: stopping the running jobs." in said
    assert "To resume: python -m snakemake --cores 1" in said
    assert "Traceback" not in said
    assert "FAILED" not in said
    assert not list(Path(".snakemake").glob("locks/*"))
