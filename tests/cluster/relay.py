"""A cable that delays and loses packets, for kernels without netem: a TUN device in each of two network namespaces, and
this program, which carries packets from one to the other.

python -m tests.cluster.relay NAMESPACE NAMESPACE SECONDS SHARE     # delayed by so long, this share of them lost
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
"""From Linux's if_tun.h."""
LARGEST = 65_536


def device(namespace: str) -> int:
    """A descriptor of a new device `cable` in a namespace, which is gone when that is closed."""
    library = ctypes.CDLL(None, use_errno=True)
    home, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if library.setns(there, 0):
        raise OSError(ctypes.get_errno(), "setns")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN | IFF_NO_PI))
    library.setns(home, 0)
    os.close(home)
    os.close(there)
    return tun


def carry(ends: tuple[int, int], delay: float, loss: float) -> None:
    """Packets from each end to the other, until somebody ends this process."""
    rng, sent = random.Random(0), 0
    waiting: list[tuple[float, int, int, bytes]] = []
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    while True:
        ready, _, _ = select.select(ends, [], [], max(waiting[0][0] - time.monotonic(), 0) if waiting else None)
        try:
            for end in ready:
                packet = os.read(end, LARGEST)
                if rng.random() >= loss:
                    heapq.heappush(waiting, (time.monotonic() + delay, sent, other[end], packet))
                    sent += 1
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                os.write(end, packet)
        except OSError:  # a device that is not up yet
            time.sleep(0.01)


if __name__ == "__main__":
    both = (device(sys.argv[1]), device(sys.argv[2]))
    print("there", flush=True)
    carry(both, float(sys.argv[3]), float(sys.argv[4]))
