"""Two hosts on this machine: network namespaces with a cable between them, which the tests alone use."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.ranks import GRAPHC, MPIEXEC, start

ENTER = """\
#!/bin/sh
# What mpiexec calls in place of ssh: options, the host's address, the command.
while [ "${1#-}" != "$1" ]; do shift; done
name=$(cat "$(dirname "$0")/$1"); shift
exec ip netns exec "$name" unshare --uts sh -c "hostname $name; $*"
"""


def ip(*command: str) -> str:
    return subprocess.run(["ip", *command], check=True, capture_output=True, text=True, timeout=20).stdout


@dataclass(frozen=True)
class Hosts:
    """Names of two namespaces, which are their hosts' names too."""

    names: tuple[str, str]
    folder: Path
    """With the script that enters them."""

    def start(self, counts: tuple[int, int], *command: str, cwd: Path) -> subprocess.Popen[str]:
        """graphc under mpiexec, so many ranks on each host."""
        assert MPIEXEC is not None
        addresses = ",".join(f"10.77.0.{number}:{count}" for number, count in enumerate(counts, 1) if count)
        launcher = ["-launcher", "ssh", "-launcher-exec", str(self.folder / "enter"), "-iface", "cable"]
        ranks = ["-hosts", addresses, "-n", str(sum(counts))]
        name = self.names[0]
        enter = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", f'hostname {name}; exec "$@"', "sh"]
        return subprocess.Popen(
            [*enter, MPIEXEC, *launcher, *ranks, *GRAPHC, *command],
            cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "UCX_TLS": "tcp,self"},  # or MPICH would find both hosts in one memory
        )  # fmt: skip

    def spread(self, counts: tuple[int, ...], *command: str, cwd: Path) -> subprocess.Popen[str]:
        """graphc on so many ranks of this machine, or on so many of each host where there are two counts."""
        if len(counts) == 2:
            return self.start((counts[0], counts[1]), *command, cwd=cwd)
        return start(counts[0], *command, cwd=cwd)

    def cable(self, what: str) -> None:
        """`up` or `down`."""
        ip("-n", self.names[1], "link", "set", "cable", what)

    def rate(self, rate: str | None) -> None:
        """Limit what each host sends, such as `1gbit`; None takes the limit away."""
        for name in self.names:
            if rate is None:
                subprocess.run(["tc", "-n", name, "qdisc", "del", "dev", "cable", "root"], check=True, timeout=20)
            else:
                limit = ["tbf", "rate", rate, "burst", "256k", "latency", "50ms"]
                add = ["tc", "-n", name, "qdisc", "add", "dev", "cable", "root", *limit]
                ended = subprocess.run(add, check=False, capture_output=True, text=True, timeout=20)
                if ended.returncode:
                    pytest.skip(f"this kernel limits no rate: {ended.stderr.strip()}")


def wait_until_up(name: str) -> None:
    """Until a host's cable runs: MPI that starts before takes another device, which reaches nobody."""
    for _ in range(200):
        shown = ip("-n", name, "link", "show", "cable")
        if "state UP" in shown or "state UNKNOWN" in shown:  # of a TUN device
            return
        time.sleep(0.05)
    pytest.fail(f"the cable of {name} is not up")


@dataclass(frozen=True)
class Trouble:
    """What a cable does to packets."""

    delay: float = 0.0
    """Seconds."""
    loss: float = 0.0
    """Share of them."""


@contextmanager
def two_hosts(folder: Path, trouble: Trouble | None = None) -> Iterator[Hosts]:
    """They are there in this block, with a cable, or with one that makes trouble; a skip where they cannot be made."""
    if os.name != "posix" or os.geteuid() != 0 or not all(map(shutil.which, ("ip", "tc", "unshare"))):
        pytest.skip("needs root, ip, tc and unshare, to make network namespaces")
    kind = "" if trouble is None else "t"
    names = (f"gc{os.getpid()}{kind}a", f"gc{os.getpid()}{kind}b")
    with ExitStack() as after:
        try:
            connect(names, trouble, after)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine makes no network namespaces: {error.stderr}")
        for number, name in enumerate(names, 1):
            (folder / f"10.77.0.{number}").write_text(name)
        (folder / "enter").write_text(ENTER)
        (folder / "enter").chmod(stat.S_IRWXU)
        yield Hosts(names, folder)


def connect(names: tuple[str, str], trouble: Trouble | None, after: ExitStack) -> None:
    """Make both hosts and their cable; what ends them is left to `after`."""
    for name in names:
        ip("netns", "add", name)
        after.callback(ip, "netns", "del", name)
    if trouble is None:
        ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
    else:
        relay = start_relay(names, trouble)
        after.callback(relay.communicate)
        after.callback(relay.kill)
    for number, name in enumerate(names, 1):
        ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "cable")
        for device in ("lo", "cable"):
            ip("-n", name, "link", "set", device, "up")
    for name in names:
        wait_until_up(name)


def start_relay(names: tuple[str, str], trouble: Trouble) -> subprocess.Popen[str]:
    """The program between two hosts, when their devices are there."""
    command = [sys.executable, "-m", "tests.cluster.relay", *names, str(trouble.delay), str(trouble.loss)]
    relay = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert relay.stdout is not None
    if relay.stdout.readline() != "there\n":
        pytest.skip(f"this machine makes no TUN devices: {relay.communicate()[1][-200:]}")
    return relay
