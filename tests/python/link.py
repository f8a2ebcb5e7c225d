"""A link between two network namespaces, as bad as it is told to be.

Two namespaces without a name, `city` and `box`, each with a TUN device `link0`, and between the
devices a relay of real IP packets: delay, jitter, loss, rate and cuts, each way for itself. So what
runs in the namespaces meets real TCP of the kernel, with its retransmissions and time-outs.

Why not veth with tc-netem: many kernels, those of small virtual machines first, are built without
netem ("Specified qdisc kind is unknown"), and a test that needs it would be left out there.

Needs root and /dev/net/tun. First line on stdout: JSON with `pid` and the file descriptors of both
namespaces, which are entered by /proc/PID/fd/FD. Then a line of JSON in is a command, answered by a
line of JSON when it is in force:

    {"up": {"delay_ms": 150, "jitter_ms": 0, "loss": 0.05, "rate_bits": 64000, "cut": false},
     "down": {...}}     conditions from the box to the city, and from the city to the box; a key
                        that is not named stays as it is; rate_bits 0 is as fast as it goes
    {"box": "10.77.0.3"}  the box has another address, and the old one is gone
    {"open": "city", "to": [HOST, PORT]}  answers with `port`: what connects to it on 127.0.0.1 of
                        the namespace of this program is connected to HOST:PORT of the other one
    {}                  figures: packets passed and lost, bytes passed, each way

Everything ends with the end of stdin: devices and namespaces go with the process.
"""

import collections
import ctypes
import fcntl
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
CITY = "10.77.0.1"
BOX = "10.77.0.2"
MTU = 1500
# `open` commands in all.
OPENINGS = 16
# What a slow link holds before it drops: seconds of its rate, packets at least.
QUEUE_S = 1.0
QUEUE_PACKETS = 8
# Packets that a way holds in all.
MOST = 20_000

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def ip(*args):
    subprocess.run(["ip", *args], check=True)


class End:
    """A namespace and its device."""

    def __init__(self, address):
        checked(libc.unshare(CLONE_NEWNET), "a network namespace")
        # Python's threads are the kernel's: each is in a namespace of its own choice.
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH22x", b"link0", IFF_TUN | IFF_NO_PI)
        fcntl.ioctl(self.tun, TUNSETIFF, request)
        ip("link", "set", "lo", "up")
        ip("address", "add", f"{address}/24", "dev", "link0")
        ip("link", "set", "link0", "mtu", str(MTU), "up")
        self.address = address

    def enter(self):
        checked(libc.setns(self.namespace, CLONE_NEWNET), "the namespace")

    def move(self, address):
        """Another address in the place of the one there is."""
        self.enter()
        ip("address", "delete", f"{self.address}/24", "dev", "link0")
        ip("address", "add", f"{address}/24", "dev", "link0")
        self.address = address

    def open(self, listener, target):
        """Connects what connects to `listener` to `target` in this namespace."""
        self.enter()
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection(target, 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=pump, args=(one, other), daemon=True).start()


def pump(source, target):
    """Bytes of a connection, one way, until it ends."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        try:
            one.shutdown(how)
        except OSError:
            pass


class Way:
    """Packets in one direction, in order."""

    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.conditions = {
            "delay_ms": 0, "jitter_ms": 0, "loss": 0.0, "rate_bits": 0, "cut": False
        }
        self.waiting = collections.deque()
        self.free_at = 0.0
        self.passed = self.lost = self.bytes = 0

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
        leaves += (c["delay_ms"] + random.random() * c["jitter_ms"]) / 1000
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
                self.bytes += len(packet)
            except OSError:
                self.lost += 1

    def figures(self):
        return {"passed": self.passed, "lost": self.lost, "bytes": self.bytes}


def obey(line, ways, ends, listeners):
    command = json.loads(line)
    if "open" in command:
        listener = listeners.pop()
        work = (listener, tuple(command["to"]))
        threading.Thread(target=ends[command["open"]].open, args=work, daemon=True).start()
        return {"port": listener.getsockname()[1]}
    for name, way in ways.items():
        changes = command.get(name, {})
        unknown = set(changes) - set(way.conditions)
        if unknown:
            raise ValueError(f"unknown: {sorted(unknown)}")
        way.conditions.update(changes)
    if "box" in command:
        ends["box"].move(command["box"])
    return {name: way.figures() for name, way in ways.items()}


def relay(ways, ends, listeners):
    pending = b""
    readable = [0, *(way.source for way in ways.values())]
    while True:
        now = time.monotonic()
        due = [way.waiting[0][0] for way in ways.values() if way.waiting]
        wait = max(0.0, min(due) - now) if due else None
        ready, _, _ = select.select(readable, [], [], wait)
        now = time.monotonic()
        for way in ways.values():
            if way.source in ready:
                try:
                    for _ in range(64):
                        way.take(os.read(way.source, 65536), now)
                except BlockingIOError:
                    pass
            way.give(time.monotonic())
        if 0 in ready:
            more = os.read(0, 65536)
            if not more:
                return
            *lines, pending = (pending + more).split(b"\n")
            for line in lines:
                print(json.dumps(obey(line, ways, ends, listeners)), flush=True)


def main():
    # A socket belongs to the namespace in which it is made: these are made before the others are.
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(OPENINGS)]
    city, box = End(CITY), End(BOX)
    ways = {"up": Way(box.tun, city.tun), "down": Way(city.tun, box.tun)}
    first = {"pid": os.getpid(), "city": city.namespace, "box": box.namespace}
    print(json.dumps(first), flush=True)
    relay(ways, {"city": city, "box": box}, listeners)


if __name__ == "__main__":
    sys.exit(main())
