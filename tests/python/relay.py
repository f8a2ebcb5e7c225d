"""A link of two TUN devices with a relay of real IP packets between them.

For kernels without netem, those of small virtual machines first ("Specified qdisc kind is
unknown"): what runs in the namespaces meets real TCP of the kernel all the same, with its
retransmissions and time-outs. Packets stay in order.
"""

import collections
import fcntl
import os
import random
import struct
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
MTU = 1500
# What a slow link holds before it drops: seconds of its rate, packets at least.
QUEUE_S = 1.0
QUEUE_PACKETS = 8
# Packets that a way holds in all.
MOST = 20_000


def tun(end):
    """The file descriptor of a new device of a namespace."""
    end.enter()
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"link0", IFF_TUN | IFF_NO_PI))
    end.run("ip", "link", "set", "link0", "mtu", str(MTU))
    return device


class Way:
    """Packets in one direction, in order."""

    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.conditions = None
        self.waiting = collections.deque()
        self.free_at = 0.0
        self.passed = self.lost = 0

    def take(self, packet, now):
        c = self.conditions
        if c["cut"] or random.random() < c["loss"] or len(self.waiting) >= MOST:
            self.lost += 1
            return
        leaves = now
        if c["rate_bits"]:
            seconds = len(packet) * 8 / c["rate_bits"]
            most = max(QUEUE_S, QUEUE_PACKETS * MTU * 8 / c["rate_bits"])
            self.free_at = max(self.free_at, now)
            if self.free_at - now > most:
                self.lost += 1
                return
            self.free_at += seconds
            leaves = self.free_at
        leaves += (c["delay_ms"] + random.uniform(-1, 1) * c["jitter_ms"]) / 1000
        if self.waiting:
            leaves = max(leaves, self.waiting[-1][0])
        self.waiting.append((leaves, packet))

    def give(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            _, packet = self.waiting.popleft()
            # What is on the way when the link is cut does not arrive either.
            if self.conditions["cut"]:
                self.lost += 1
                continue
            try:
                os.write(self.target, packet)
                self.passed += 1
            except OSError:
                self.lost += 1


class Relay:
    """Both directions."""

    def __init__(self, city, box):
        city, box = tun(city), tun(box)
        self.ways = {"up": Way(box, city), "down": Way(city, box)}
        self.sources = [box, city]

    def wait(self):
        """Seconds until a packet is due; None: there is none."""
        due = [way.waiting[0][0] for way in self.ways.values() if way.waiting]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def work(self, ready):
        now = time.monotonic()
        for way in self.ways.values():
            if way.source in ready:
                try:
                    for _ in range(64):
                        way.take(os.read(way.source, 65536), now)
                except BlockingIOError:
                    pass
            way.give(time.monotonic())

    def set(self, name, conditions):
        self.ways[name].conditions = conditions

    def figures(self, name):
        way = self.ways[name]
        return {"passed": way.passed, "lost": way.lost}
