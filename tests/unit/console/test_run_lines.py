"""Records of Snakemake's log, in its own format (snakemake.jobs, snakemake.scheduling), and the lines for them."""

import io
import logging

import pytest

from segcert.console.command import command
from segcert.console.handler import PlainErrors, RunHandler, Screen
from segcert.console.run_lines import TAIL, RunLines

LOG = ".snakemake/log/x.snakemake.log"


class Run:
    """A run as a sequence of records, one second apart."""

    def __init__(self):
        self.lines = RunLines(LOG, is_target=lambda rule: rule == "all")
        self.now = 100.0

    def __call__(self, event=None, text=None, level=logging.INFO, **fields):
        self.now += 1
        record = logging.LogRecord("snakemake.logging", level, "", 0, text, (), None)
        vars(record).update(fields, created=self.now, event=event)
        return self.lines.read(record)

    def plan(self, **stats):
        return self("run_info", "Job stats: ...", stats=stats | {"total": sum(stats.values())})

    def start(self, jobid, rule, **wildcards):
        self("job_started", "Execute 1 jobs...", jobs=[jobid])
        return self(
            "job_info", f" Rule: {rule}", jobid=jobid, rule_name=rule, wildcards=wildcards, log=[], output=[]
        ) + self("shellcmd", "Shell command: None", shellcmd=None)

    def finish(self, jobid):
        return self("job_finished", f"Finished jobid: {jobid}", job_id=jobid)

    def fail(self, jobid, rule="sample", log=(), *, indent=False):
        return self(
            "job_error",
            f"Error in rule {rule}, jobid: {jobid}",
            logging.ERROR,
            jobid=jobid,
            rule_name=rule,
            log=list(log),
            indent=indent,
        )


@pytest.fixture
def run():
    return Run()


def test_each_finished_job_of_several_at_once_has_a_line(run):
    assert run.plan(train_segmenter=1, sample=2, all=1) == [f"3 jobs to run. Snakemake's log: {LOG}"]
    assert run.start(7, "train_segmenter", dataset="phantom", model="unet") == []
    assert run.start(8, "sample", dataset="phantom", sigma=0.25, shard=0) == []
    assert run.lines.stages == "train segmenter, sample"
    assert run.finish(8) == ["1/3     2.0 s  sample           phantom sigma 0.25 shard 0"]
    assert run.finish(7) == ["2/3     6.0 s  train segmenter  phantom unet"]
    run.start(9, "sample")
    assert run.finish(9) == ["3/3     2.0 s  sample"]
    assert run("progress", done=3, total=4) == []
    assert run.start(0, "all") + run.finish(0) == [], "a target runs nothing"
    assert run("progress", done=4, total=4) == ["Finished in 18 s."]


def test_an_unknown_number_of_jobs(run):
    run.start(1, "fetch", dataset="jsrt")
    assert run.finish(1) == ["1/?     2.0 s  fetch  jsrt"]


def test_a_failed_job_shows_the_end_of_its_log_once_and_may_be_retried(run, tmp_path):
    log, cluster = tmp_path / "1.log", tmp_path / "slurm.log"
    log.write_bytes(b"".join(b"line %d [red]\n" % i for i in range(40)) + b"\xff \x1b[31m end\n")
    cluster.write_text("")
    run.plan(sample=2)
    run.start(1, "sample", dataset="phantom")
    run.start(2, "sample", dataset="jsrt")
    failed = run.fail(1, log=[str(log), str(cluster)])
    assert failed[:3] == ["FAILED: sample phantom, after 5.0 s", f"  end of the job's log, {log}:", "    line 26 [red]"]
    assert failed[TAIL + 1 :] == ["    \ufffd \\x1b[31m end", f"  log of the job, {cluster}: empty"]
    run.fail(2, log=["logs/none.log"])
    assert run(None, "Trying to restart job 1.") == ["Retrying: sample phantom"]
    run.start(1, "sample", dataset="phantom")
    assert run.finish(1) == ["1/2     2.0 s  sample  phantom"]
    assert list(run.lines.failed) == [2]


def test_failures_of_a_run_with_keep_going_are_listed(run):
    run.plan(sample=2)
    for jobid, dataset in ((1, "phantom"), (2, "jsrt")):
        run.start(jobid, "sample", dataset=dataset)
        assert run.fail(jobid)
    assert run(None, "Exiting because a job execution failed. Look above for error messages", logging.ERROR) == [
        "2 jobs failed: sample phantom; sample jsrt"
    ]
    text = "WorkflowError:\nAt least one job did not complete successfully."
    assert run("error", text, logging.ERROR, exception="WorkflowError") == []


def test_the_error_of_a_job_that_never_started_is_shown(run):
    assert run.fail(3, "fetch") == ["FAILED: fetch, after 0.0 s"]


def test_a_group_fails_as_one(run, tmp_path):
    log = tmp_path / "1.log"
    log.write_text("no votes\n")
    run.plan(certify=2)
    for jobid in (1, 2):
        run.start(jobid, "certify", sigma=jobid)
    infos = [
        {"jobid": 1, "rule_name": "certify", "log": [str(log)]},
        {"jobid": 2, "rule_name": "certify", "log": ["logs/not-begun.log"]},
    ]
    assert run("group_error", "Error in group x", logging.ERROR, groupid="x", aux_logs=[], job_error_info=infos) == [
        "FAILED: a job in a group of 2: certify sigma 1; certify sigma 2",
        f"  log of the job, {log}:",
        "    no votes",
    ]
    assert run.fail(1, "certify", indent=True) == run.fail(2, "certify", indent=True) == []


def test_jobs_stopped_by_ctrl_c_are_not_shown_as_failed(run):
    run.plan(sample=1)
    run.start(1, "sample")
    run.lines.interrupted = True
    waits = "Will exit after finishing currently running jobs (scheduler)."
    assert run(None, waits) == ["Interrupted: stopping the running jobs."]
    assert run.fail(1) == run(None, waits) == []


def test_sigterm_lets_jobs_finish(run):
    waits = "Will exit after finishing currently running jobs (scheduler)."
    assert run(None, waits) == [waits]


def test_unknown_messages_are_shown(run):
    said = ["Nothing to be done (all requested files are present and up to date).", "a \x1b[31m warning\nof two lines"]
    assert run(None, said[0]) == [said[0]]
    assert run(None, said[1], logging.WARNING) == ["a \\x1b[31m warning", "of two lines"]
    assert run(None, "Select jobs to execute...") == run(None, None) == []
    error = "MissingOutputException in rule a:\nJob completed, but some output files are missing."
    assert run("error", error, logging.ERROR, exception="MissingOutputException") == error.splitlines()
    called = "RuleException:\nCalledProcessError in file x, line 8:\nCommand 'x' returned non-zero exit status 1."
    assert run("error", called, logging.ERROR, exception="RuleException") == [], "the job has printed the reason"


def test_an_error_of_the_configuration_has_no_frame():
    place = '"/a folder/rules/common.smk", line 57'
    framed = f"WorkflowError in file {place}:\nit cannot be used:\n  - `n`\n  File {place}, in <module>"
    record = logging.LogRecord("snakemake.logging", logging.ERROR, "", 0, framed, (), None)
    record.event = "error"
    assert PlainErrors(logging.Formatter("%(message)s")).format(record) == "it cannot be used:\n  - `n`"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_bar_fits_a_narrow_terminal_and_escapes_in_job_names_do_nothing(run, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _: (40, 24))
    relays = []
    monkeypatch.setattr("segcert.console.handler.Relay", lambda name, _: relays.append(name))
    handler = RunHandler(run.lines, Screen(terminal))

    def emit(event, **fields):
        record = logging.LogRecord("snakemake.logging", logging.INFO, "", 0, None, (), None)
        vars(record).update(fields, event=event)
        handler.emit(record)

    emit("run_info", stats={"train_segmenter": 2, "total": 2})
    emit("job_info", jobid=1, rule_name="train_segmenter", wildcards={"name": "[red]肺\x1b[2J" * 9}, log=[])
    assert "stderr" in relays, "the output of jobs goes above the bar"
    emit("job_finished", job_id=1)
    emit("progress", done=2, total=2)
    said = terminal.getvalue()
    assert "\x1b" not in said
    assert "[red]肺\\x1b[2J" * 9 in said
    drawn = [part for part in said.split("\r") if "train seg" in part and "肺" not in part]
    assert drawn, "the bar names the running stage"
    assert all(len(part.rstrip("\n")) <= 40 for part in drawn)


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_ci_and_dumb_terminals_get_plain_lines(run, monkeypatch, name, value):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    shown = Screen(Terminal())
    shown.show_bar(0, 2, "sample")
    shown.write("a line")
    assert shown.stream.getvalue() == "a line\n"


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        (".venv/bin/snakemake", ".venv/bin/snakemake"),
        ("/usr/local/bin/snakemake", "snakemake"),
        ("/x/snakemake/__main__.py", "python -m snakemake"),
    ],
)
def test_the_command_can_be_typed_again(monkeypatch, program, typed):
    monkeypatch.setattr("sys.argv", [program, "page", "--configfile", "a file.yaml"])
    assert command() == f"{typed} page --configfile 'a file.yaml'"
    assert command(without={"page"}, first="audit") == f"{typed} audit --configfile 'a file.yaml'"
