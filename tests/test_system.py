"""What differs between systems: each call as it is here, and with what other systems lack taken away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from graphc import locks as locks_module
from graphc import system


@pytest.fixture(params=["descriptors", "looking"])
def way(request, monkeypatch):
    """Both ways to open a file below a folder."""
    if request.param == "looking":
        monkeypatch.setattr(os, "supports_dir_fd", set())
    elif os.open not in os.supports_dir_fd:
        pytest.skip("this system opens nothing relative to a descriptor")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "part").mkdir(parents=True)
    (inside / "part" / "file").write_text("inside")
    return inside


def content(folder: Path, name: str, **how: bool) -> str:
    with os.fdopen(system.open_below(folder, name, **how), "rb") as file:
        return file.read().decode()


@pytest.mark.usefixtures("way")
def test_a_file_below_a_folder_is_opened(folder):
    assert content(folder, "part/file") == "inside"
    with pytest.raises(FileNotFoundError):
        content(folder, "none/file")
    with pytest.raises(FileNotFoundError):
        content(folder, "part/none")
    with pytest.raises(NotADirectoryError):
        content(folder, "part/file/more")


@pytest.mark.usefixtures("way")
def test_links_on_the_way_are_not_followed(folder):
    (folder / "linked").symlink_to(folder.parent / "outside")
    (folder / "link").symlink_to(folder.parent / "outside" / "secret")
    (folder / "broken").symlink_to("nowhere")
    for name in ("linked/secret", "link", "broken"):
        with pytest.raises(system.NotPlain, match="found a symbolic link"):
            content(folder, name)


@pytest.mark.usefixtures("way")
def test_hard_links_are_refused_unless_they_are_allowed(folder):
    os.link(folder.parent / "outside" / "secret", folder / "hard")
    with pytest.raises(system.NotPlain, match="several names"):
        content(folder, "hard")
    assert content(folder, "hard", hard_links=True) == "secret"


@pytest.mark.usefixtures("way")
def test_folders_and_devices_are_not_opened(folder):
    with pytest.raises(system.NotPlain, match="found a folder"):
        content(folder, "part")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        with pytest.raises(system.NotPlain, match="found a device or a pipe"):
            content(folder, "pipe")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", ["../outside/secret", "/etc/hostname", "", ".", "part/..", "part//file", "a\0b"])
def test_paths_that_lead_elsewhere_are_refused(folder, name):
    with pytest.raises(system.NotPlain, match="a path that leads elsewhere"):
        content(folder, name)


def test_a_file_that_is_replaced_between_two_looks_is_refused(folder, monkeypatch):
    monkeypatch.setattr(os, "supports_dir_fd", set())
    opened = system._open

    def swap(path, *flags, **more):
        (folder / "part").rename(folder / "moved")
        (folder / "part").symlink_to(folder.parent / "outside")
        return opened(path, *flags, **more)

    (folder.parent / "outside" / "file").write_text("secret")
    monkeypatch.setattr(system, "_open", swap)
    with pytest.raises(system.NotPlain, match="a symbolic link"):
        content(folder, "part/file")


def test_names_that_windows_takes_for_more_than_a_name(monkeypatch):
    names = ["a\\b", "c:", "file:stream", "..\\up"]
    assert all(map(system.is_plain_name, names))
    monkeypatch.setattr(system, "IS_WINDOWS", True)
    assert not any(map(system.is_plain_name, names))
    assert system.is_plain_name("plain.onnx")
    assert [system.is_reserved(Path(name)) for name in ("con.onnx", "NUL", "cone.onnx")] == [True, True, False]


class Msvcrt:
    """Windows' locks of bytes, as far as they are used: made of POSIX's."""

    LK_NBLCK, LK_UNLCK = 2, 0

    @staticmethod
    def locking(handle: int, mode: int, count: int) -> None:
        import fcntl

        how = fcntl.LOCK_EX | fcntl.LOCK_NB if mode == Msvcrt.LK_NBLCK else fcntl.LOCK_UN
        assert (os.lseek(handle, 0, os.SEEK_CUR), count) == (locks_module.FAR, 1)
        fcntl.flock(handle, how)


@pytest.fixture(params=["fcntl", "msvcrt", "neither"])
def locks(request, monkeypatch):
    if request.param != "neither":
        pytest.importorskip("fcntl")
    modules = {"fcntl": {"fcntl": locks_module.optional_module("fcntl")}, "msvcrt": {"msvcrt": Msvcrt}, "neither": {}}
    monkeypatch.setattr(locks_module, "optional_module", modules[request.param].get)


@pytest.mark.usefixtures("locks")
def test_a_lock_is_one_holders_and_says_whose(tmp_path):
    path = tmp_path / "lock"
    with locks_module.locked(path):
        with pytest.raises(locks_module.Held, match=rf"^pid {os.getpid()} on "), locks_module.locked(path):
            pass
        with pytest.raises(locks_module.Held), locks_module.locked(path):
            pass
    with pytest.raises(KeyError), locks_module.locked(path):
        raise KeyError
    with locks_module.locked(path):
        pass


@pytest.mark.usefixtures("locks")
def test_a_holder_that_is_gone_holds_nothing(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    host = locks_module.socket.gethostname()
    for text in (f"pid {int(gone.stdout)} on {host}", f"pid {os.getpid()} on elsewhere.{host}", "pid x on"):
        (tmp_path / "lock").write_text(text, encoding="latin-1")
        with locks_module.locked(tmp_path / "lock"):
            pass


def test_reading_somewhere_needs_no_position_of_its_own(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)))
    handle = os.open(path, os.O_RDONLY)
    expected = [system.read_at(handle, 20, at) for at in (0, 190, 300)]
    monkeypatch.delattr(os, "pread", raising=False)
    assert [system.read_at(handle, 20, at) for at in (0, 190, 300)] == expected
    assert expected == [bytes(range(20)), bytes(range(190, 200)), b""]
    os.close(handle)


def test_a_file_that_windows_holds_for_a_moment_is_replaced_in_the_end(tmp_path, monkeypatch):
    replace, refusals = os.replace, [1, 1]

    def refuse(source, target):
        if refusals:
            refusals.pop()
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    (tmp_path / "a").write_text("new")
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(system, "IS_WINDOWS", True)
    system.replace(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "new"
    refusals[:] = [1] * 1000
    monkeypatch.setattr(system, "PATIENCE", 0.05)
    (tmp_path / "a").write_text("again")
    with pytest.raises(PermissionError):
        system.replace(tmp_path / "a", tmp_path / "b")
    monkeypatch.setattr(system, "IS_WINDOWS", False)
    left = len(refusals)
    with pytest.raises(PermissionError):
        system.replace(tmp_path / "a", tmp_path / "b")
    assert len(refusals) == left - 1


@pytest.mark.parametrize("kill", [True, False])
def test_another_thread_reaches_the_main_threads_handler(monkeypatch, kill):
    if not kill:
        monkeypatch.delattr(signal, "pthread_kill", raising=False)
    seen = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: seen.set())
    try:
        threading.Thread(target=system.wake_main_thread, args=(signal.SIGTERM,)).start()
        for _ in range(500):
            if seen.wait(0.01):
                break
        assert seen.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.posix
def test_nothing_is_forked_where_that_is_not_safe(monkeypatch):
    assert system.can_fork()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert not system.can_fork()
    monkeypatch.delattr(os, "fork")
    assert not system.can_fork()


def test_processors_are_counted_everywhere(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert system.processors() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.processors() == 1


@pytest.mark.posix
@pytest.mark.parametrize("listed", [True, False])
def test_a_worker_keeps_nothing_open_but_its_pipe(tmp_path, listed):
    """In a process of its own, with and without a /proc that lists what is open."""
    program = textwrap.dedent(f"""
        import os
        from graphc import system
        if not {listed}:
            def nothing(path): raise FileNotFoundError(path)
            os.listdir = nothing
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
        system.close_all_but(opened[7])
        def is_open(handle):
            try:
                os.fstat(handle)
            except OSError:
                return False
            return True
        assert [handle for handle in opened if is_open(handle)] == [opened[7]]
        assert all(map(is_open, range(3)))
    """)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


TAKEN_AWAY = """
import os, sys
for name in {names}:
    module, _, attribute = name.partition(".")
    if attribute:
        vars(__import__(module)).pop(attribute, None)
    else:
        sys.modules[module] = None
os.supports_dir_fd = set()
from graphc.cli import main
main()
"""
MISSING = (
    "fcntl", "resource", "os.sched_getaffinity", "os.fork", "os.pread", "os.pwrite", "os.fchmod", "os.sysconf",
    "os.O_DIRECTORY", "os.O_NOFOLLOW", "os.O_NONBLOCK", "os.O_CLOEXEC", "os.geteuid", "os.getuid",
    "os.register_at_fork", "signal.SIGALRM", "signal.setitimer", "signal.SIGHUP", "signal.SIGKILL",
    "signal.pthread_kill", "signal.pthread_sigmask", "mmap.MAP_SHARED", "mmap.MAP_ANONYMOUS",
)  # fmt: skip


@pytest.mark.posix
def test_training_gives_the_same_bytes_without_what_other_systems_lack(tmp_path):
    (tmp_path / "net.yaml").write_text(
        textwrap.dedent("""
        graphc: 1
        name: net
        inputs: {image: [N, 8, 8, 3]}
        layers:
          - conv2d: {name: conv, filters: 4, kernel: 3, normalizer: batch_norm, activation: relu}
          - global_avg_pool2d: {name: pool}
          - fully_connected: {name: logits, units: 5}
        outputs: {logits: logits}
        """)
    )
    (tmp_path / "recipe.yaml").write_text(
        "recipe: 1\nmodel: {spec: net.yaml}\n"
        "data: {train: {shapes: {count: 40, size: [8, 8]}}, workers: 2, validation_share: 0.25}\n"
        "loss: softmax_cross_entropy\noptimizer: sgd\nlearning_rate: 0.1\nepochs: 2\nbatch: 10\n"
    )
    found = []
    for name, start in (("whole", ("-m", "graphc")), ("less", ("-c", TAKEN_AWAY.format(names=MISSING)))):
        command = [sys.executable, *start, "train", "recipe.yaml", "-o", name, "--threads", "2"]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (ended.returncode, "error" in ended.stderr) == (0, False), ended.stderr
        found.append((tmp_path / name / "best.onnx").read_bytes())
        assert ended.stderr.count("warning[G522]: processes are forked on Linux only") == (name == "less")
    assert found[0] == found[1]
