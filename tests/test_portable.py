"""The code runs on Linux, macOS and Windows: what they lack is asked for in graphc/system.py and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.test_layering import MODULES, ROOT


def words(text: str) -> set[str]:
    return set(text.split())


MISSING_MODULES = words("fcntl grp mmap msvcrt posix pty pwd resource select termios tty winreg")
MISSING = {
    "os": words(
        "chown cpu_count fchmod fchown fork forkpty geteuid getgid getloadavg getuid kill killpg link lockf "
        "memfd_create mkfifo name open posix_fadvise posix_spawn pread process_cpu_count pwrite register_at_fork "
        "rename replace sched_getaffinity sched_setaffinity setsid statvfs symlink sync sysconf umask uname "
        "wait wait4 waitpid"
    ),
    "signal": words(
        "SIGALRM SIGBREAK SIGCHLD SIGHUP SIGKILL SIGPIPE SIGUSR1 SIGUSR2 alarm pthread_kill pthread_sigmask "
        "raise_signal setitimer sigwait"
    ),
    "sys": {"platform", "getwindowsversion"},
    "platform": {"system", "uname"},
    "multiprocessing": {"get_context", "set_start_method", "Process", "Pool", "shared_memory"},
}
"""What is not on every system, or does something else there, by module."""
KEYWORDS = {"dir_fd", "src_dir_fd", "dst_dir_fd", "preexec_fn", "start_new_session", "pass_fds"}
FOLDERS = ("/proc", "/dev/", "/tmp", "/etc", "/sys", "C:\\")
TEXT_CALLS = {"open", "read_text", "write_text"}
"""Calls that read or write text in the machine's own encoding unless told otherwise."""
NOT_FILES = {"Image", "_zip", "archive", "os", "tarfile", "webbrowser"}
"""Whose `open` reads no text."""


def tree_of(module: str) -> ast.AST:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def system_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of everything that only some systems have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.partition(".")[0] in MISSING_MODULES]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            missing = MISSING.get(node.module or "", set())
            found = [name for name in names if name in missing] + [m for m in [node.module] if m in MISSING_MODULES]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            flag = (module == "os" and name.startswith("O_")) or (module == "mmap" and name.startswith("MAP_"))
            found = [f"{module}.{name}"] if flag or name in MISSING.get(module, ()) else []
        elif isinstance(node, ast.keyword):
            found = [f"{node.arg}="] if node.arg in KEYWORDS else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [node.value] if node.value.startswith(FOLDERS) else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr"):
            of = node.args[0]
            found = [f"{node.func.id}({of.id})"] if isinstance(of, ast.Name) and of.id in MISSING else []
        else:
            continue
        yield from ((getattr(node, "lineno", 0), each) for each in found)


def owner_of(function: ast.expr) -> str:
    """`_zip` of `self._zip.open`; nothing of `open`."""
    value = getattr(function, "value", None)
    return getattr(value, "attr", "") or getattr(value, "id", "")


def texts_without_encoding(tree: ast.AST) -> Iterator[int]:
    """Lines that read or write text and do not say how it is written."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg for keyword in node.keywords}
        modes = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if name not in TEXT_CALLS or "encoding" in keywords or any("b" in mode for mode in modes):
            continue
        is_method = isinstance(node.func, ast.Attribute)
        if (name == "open" and owner_of(node.func) in NOT_FILES) or (name != "open" and not is_method):
            continue
        yield node.lineno


@pytest.mark.parametrize("module", [module for module in MODULES if module != "system.py"])
def test_only_one_module_knows_the_system(module):
    assert not list(system_calls(tree_of(module))), f"{module}: put it into graphc/system.py"


@pytest.mark.parametrize("module", MODULES)
def test_text_has_an_encoding(module):
    assert not list(texts_without_encoding(tree_of(module))), f"{module}: say encoding='utf-8'"


@pytest.mark.parametrize(
    "line",
    ["import fcntl", "from os import fork", "os.O_NOFOLLOW", "f(dir_fd=3)", "open('/proc/self/fd')", "signal.SIGALRM",
     "hasattr(os, 'fork')", "if sys.platform == 'linux': pass", "from resource import setrlimit"],
)  # fmt: skip
def test_what_is_looked_for_is_found(line):
    assert list(system_calls(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    ["open('a')", "open('a', 'w')", "path.open('a')", "path.read_text()", "path.write_text('x')"],
)
def test_texts_are_found(line):
    assert list(texts_without_encoding(ast.parse(line))) == [1]
    assert not list(texts_without_encoding(ast.parse(line.replace(")", ", encoding='utf-8')").replace("(, ", "("))))
