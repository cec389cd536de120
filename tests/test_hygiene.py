"""The guards of the tests themselves: what they must catch, they catch."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest
from support import program
from support.processes import process_table
from support.program import Completed, ProcessesLeft, ProgramHangs, run_program, start_program

TESTS = Path(__file__).parent

SLEEP = "import time; time.sleep(3600)"

# A child that outlives its parent, in a session of its own.
LEAVE_DAEMON = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "{SLEEP}"], start_new_session=True)
"""

LEAVE_ORPHAN = """
import os, time
def leave_orphan(seconds):
    reader, writer = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.write(writer, b"%d " % os.getpid())
            time.sleep(seconds)
        os._exit(0)
    os.wait()
    orphan = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    return orphan
"""

# A child comes to the state in which it is found only when there is a processor for it.
UNTIL_IT = """
def until_it(state, pid):
    while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != state: pass
"""


def run_pytest(directory: Path, source: str, *options: str) -> Completed:
    """Run the tests in `source` in a pytest of their own, under the same guards."""
    (directory / "test_inner.py").write_text(source)
    (directory / "pytest.ini").write_text("[pytest]\n")
    guards = ("-p", "support.leaks", "-p", "support.watchdog", "-p", "no:cacheprovider")
    return run_program(
        [sys.executable, "-m", "pytest", *guards, "--timeout-method=thread", *options],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        cwd=directory,
    )


def alive(pids: set[int]) -> set[int]:
    table = process_table()
    return {pid for pid in pids if pid in table and not table[pid].is_zombie}


def test_a_clean_test_passes(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "def test_clean(): pass")
    assert done.returncode == 0, done.stdout


def test_what_is_on_its_way_out_is_waited_for(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, LEAVE_ORPHAN + "def test_clean(): leave_orphan(0.3)")
    assert done.returncode == 0, done.stdout


NAME_THREAD = """
import threading, time
named = threading.Event()
def run():
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
        comm.write("millpond-test")
    named.set()
    time.sleep(3600)
"""

LEAVE_CHILD = f"""
import subprocess, sys
command = [sys.executable, "-c", "print(flush=True); {SLEEP}"]
child = subprocess.Popen(command, stdout=subprocess.PIPE)
child.stdout.readline()
child.stdout.close()
until_it("S", child.pid)
"""

LEAVES = {
    "a child": (
        UNTIL_IT + LEAVE_CHILD,
        r"process \d+, child of \d+, S \(sleeping\): .*time\.sleep\(3600\)",
    ),
    "an orphan": (
        LEAVE_ORPHAN + UNTIL_IT + "until_it('S', leave_orphan(3600))",
        r"process \d+, child of \d+, S \(sleeping\): .* -m pytest",
    ),
    "a zombie": (
        f"{UNTIL_IT}import os\nuntil_it('Z', os.fork() or os._exit(0))",
        r"process \d+, child of \d+, Z \(zombie\)",
    ),
    "a descriptor": (
        "import os\nos.open('/dev/null', 0)",
        r"descriptor \d+: /dev/null",
    ),
    "shared memory": (
        "import os\nname = f'/dev/shm/millpond-hygiene-{os.getpid()}'\nopen(name, 'w').close()",
        r"file /dev/shm/millpond-hygiene-\d+",
    ),
    "a thread of the engine": (
        NAME_THREAD + "threading.Thread(target=run, daemon=True).start()\nnamed.wait()",
        r"thread \d+: millpond-test",
    ),
}


@pytest.mark.parametrize("what", LEAVES)
def test_a_test_that_leaves_something_fails(what: str, tmp_path: Path) -> None:
    action, message = LEAVES[what]
    source = (
        "import os, pytest\nfrom support import leaks\n"
        "leaks.GRACE = 0.2\n"
        "@pytest.fixture(scope='session', autouse=True)\n"
        "def clean_up():\n"
        "    yield\n"
        "    if os.path.exists(name := f'/dev/shm/millpond-hygiene-{os.getpid()}'):\n"
        "        os.unlink(name)\n"
        f"def test_leaves():\n    exec({action!r}, {{}})\n"
        "def test_next(): pass\n"
    )
    done = run_pytest(tmp_path, source)
    assert done.returncode == 1, done.stdout
    assert re.search(rf"the test left behind:\n{message}", done.stdout), done.stdout
    assert "2 passed, 1 error" in done.stdout, done.stdout


def test_a_failed_test_may_keep_descriptors_but_no_processes(tmp_path: Path) -> None:
    source = (
        "import subprocess, sys\nfrom support import leaks\n"
        "leaks.GRACE = 0.2\n"
        "def test_keeps():\n"
        "    kept = open('/dev/null')\n"
        "    assert False\n"
        "def test_leaves():\n"
        f"    child = subprocess.Popen([sys.executable, '-c', '{SLEEP}'])\n"
        "    assert False\n"
    )
    done = run_pytest(tmp_path, source)
    assert "2 failed, 1 error" in done.stdout, done.stdout
    assert "process" in done.stdout
    assert "descriptor" not in done.stdout, done.stdout


def test_a_run_that_leaves_something_fails(tmp_path: Path) -> None:
    source = (
        "import os, pytest\nfrom support import leaks\n"
        "leaks.GRACE = 0.2\n"
        "@pytest.fixture(scope='module')\n"
        "def file():\n"
        "    return os.open('/dev/null', os.O_RDONLY)\n"
        "@pytest.fixture(autouse=True)\n"
        "def earlier(file, watchdog): pass\n"
        "def test_uses_it(file): pass\n"
    )
    done = run_pytest(tmp_path, source)
    assert done.returncode == 1, done.stdout
    assert re.search(r"the run left behind:\ndescriptor \d+: /dev/null", done.stdout), done.stdout


# The time is over when the test says so, however long it takes to come to what it is about.
TIME_IS_OVER = """
import threading
is_over = threading.Event()
class Timer(threading.Timer):
    def run(self):
        is_over.wait()
        self.function(*self.args)
threading.Timer = Timer
"""


def test_the_watchdog_shows_and_ends_a_test_that_hangs(tmp_path: Path) -> None:
    source = TIME_IS_OVER + (
        "import os, time\n"
        "reader, writer = os.pipe()\n"
        "def sleep_in_child():\n"
        "    os.write(writer, b'here')\n"
        "    time.sleep(3600)\n"
        "def sleep_in_parent():\n"
        "    os.read(reader, 4)\n"
        "    is_over.set()\n"
        "    time.sleep(3600)\n"
        "def test_hangs():\n"
        "    if os.fork() == 0: sleep_in_child()\n"
        "    sleep_in_parent()\n"
    )
    done = run_pytest(tmp_path, source, "--timeout=1")
    assert done.returncode == 1, done.stdout
    shown = done.stdout + done.stderr
    assert "test_inner.py::test_hangs ran out of time (1 s), with 1 other processes" in shown
    assert re.search(r"process \d+, child of \d+", shown), shown
    assert re.search(r"File .*, line \d+ in sleep_in_child", shown), shown
    assert re.search(r"File .*, line \d+ in sleep_in_parent", shown), shown


def test_the_watchdog_covers_the_teardown_of_a_failed_test(tmp_path: Path) -> None:
    source = TIME_IS_OVER + (
        "import pytest, time\n"
        "@pytest.fixture\n"
        "def slow():\n"
        "    yield\n"
        "    is_over.set()\n"
        "    time.sleep(3600)\n"
        "def test_fails(slow): assert False\n"
    )
    done = run_pytest(tmp_path, source, "--timeout=1")
    assert done.returncode == 1
    assert "in slow" in done.stdout + done.stderr


def test_a_program_gets_its_input_and_environment() -> None:
    source = "import os, sys; print(sys.stdin.read(), os.environ['COLOUR'], file=sys.stderr)"
    environment = {**os.environ, "COLOUR": "red"}
    done = run_program([sys.executable, "-c", source], input="hello", env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "hello red\n")


def test_a_program_that_is_killed_has_a_negative_status() -> None:
    done = run_program([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert done.returncode == -signal.SIGKILL


def waits(pid: int) -> bool:
    """Return whether the process is in a system call."""
    return not Path(f"/proc/{pid}/syscall").read_text().startswith("running")


def test_a_program_that_hangs_is_shown_and_killed() -> None:
    source = (
        "import os, time\n"
        "def sleep_here(child):\n"
        "    print('started', child, flush=True)\n"
        "    time.sleep(3600)\n"
        "sleep_here(os.fork())\n"
    )
    with start_program([sys.executable, "-c", source]) as started:
        # Both have to be where they stay: a busy machine lets them wait on the way there.
        while started.output().count("started") < 2 or not all(map(waits, started.pids())):
            os.sched_yield()
        with pytest.raises(ProgramHangs) as caught:
            started.finish(timeout=0)
    text = str(caught.value)
    pairs = re.findall(r"^process (\d+), child of (\d+)", text, re.M)
    found = {(int(pid), int(parent)) for pid, parent in pairs}
    # Not by their order: the system begins anew when it runs out of numbers.
    [(child, parent)] = [(pid, of) for pid, of in found if of in {other for other, _ in found}]
    assert {pid for pid, _ in found} == {child, parent}
    assert f"started {child}" in text
    assert text.count("in sleep_here") == 2, text
    assert re.search(rf"thread {parent} '.*' in \w+, system call \d+", text), text
    assert not alive({parent, child})


def test_a_program_that_leaves_a_daemon_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "EXIT_GRACE", 0.2)
    with pytest.raises(ProcessesLeft, match=r"(?s)status 0 but left:\nprocess (\d+), .*sleep\("):
        run_program([sys.executable, "-c", LEAVE_DAEMON])


def test_leaving_a_started_program_kills_its_tree() -> None:
    source = LEAVE_DAEMON + f"print('ready', flush=True)\n{SLEEP}"
    with start_program([sys.executable, "-c", source]) as started:
        while "ready" not in started.output():
            os.sched_yield()
        pids = started.pids()
        assert len(pids) == 2
    assert not alive(pids)
