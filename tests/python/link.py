"""A link between two network namespaces, as bad as it is told to be.

Two namespaces without a name, `city` and `box`, each with a device `link0`: delay, jitter, loss,
rate and cuts, each way for itself. Where the kernel has netem, the devices are veth with netem on
each, else TUN with a relay between them.

Needs root, and /dev/net/tun for the relay. First line on stdout: JSON with `pid`, the file
descriptors of both namespaces, which are entered by /proc/PID/fd/FD, and which `link` it is. Then a
line of JSON in is a command, answered by a line of JSON when it is in force:

    {"up": {"delay_ms": 150, "jitter_ms": 0, "loss": 0.05, "rate_bits": 64000, "cut": false},
     "down": {...}}     conditions from the box to the city, and from the city to the box; a key
                        that is not named stays as it is; rate_bits 0 is as fast as it goes
    {"box": "10.77.0.3"}  the box has another address, and the old one is gone
    {"open": "city", "to": [HOST, PORT]}  answers with `port`: what connects to it on 127.0.0.1 of
                        the namespace of this program is connected to HOST:PORT of the other one
    {}                  figures: packets passed and lost, each way

Everything ends with the end of stdin: devices and namespaces go with the process.
"""

import ctypes
import json
import os
import select
import socket
import subprocess
import sys
import threading

from netem import Netem, is_known
from relay import Relay

CLONE_NEWNET = 0x40000000
CITY = "10.77.0.1"
BOX = "10.77.0.2"
# `open` commands in all.
OPENINGS = 16
PERFECT = {"delay_ms": 0, "jitter_ms": 0, "loss": 0.0, "rate_bits": 0, "cut": False}

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class End:
    """A namespace; its device is the link's."""

    def __init__(self, address):
        checked(libc.unshare(CLONE_NEWNET), "a network namespace")
        # Python's threads are the kernel's: each is in a namespace of its own choice.
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.address = address
        self.run("ip", "link", "set", "lo", "up")

    def enter(self):
        checked(libc.setns(self.namespace, CLONE_NEWNET), "the namespace")

    def run(self, *command):
        """What a command in the namespace prints."""
        self.enter()
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    def up(self):
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "link0")
        self.run("ip", "link", "set", "link0", "up")

    def move(self, address):
        """Another address in the place of the one there is."""
        self.run("ip", "address", "delete", f"{self.address}/24", "dev", "link0")
        self.run("ip", "address", "add", f"{address}/24", "dev", "link0")
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


def obey(line, link, conditions, ends, listeners):
    command = json.loads(line)
    if "open" in command:
        listener = listeners.pop()
        work = (listener, tuple(command["to"]))
        threading.Thread(target=ends[command["open"]].open, args=work, daemon=True).start()
        return {"port": listener.getsockname()[1]}
    for name, now in conditions.items():
        changes = command.get(name, {})
        unknown = set(changes) - set(now)
        if unknown:
            raise ValueError(f"unknown: {sorted(unknown)}")
        if changes:
            now.update(changes)
            link.set(name, now)
    if "box" in command:
        ends["box"].move(command["box"])
    return {name: link.figures(name) for name in conditions}


def serve(link, ends, listeners):
    conditions = {name: dict(PERFECT) for name in ("up", "down")}
    for name, now in conditions.items():
        link.set(name, now)
    pending = b""
    while True:
        ready, _, _ = select.select([0, *link.sources], [], [], link.wait())
        link.work(ready)
        if 0 in ready:
            more = os.read(0, 65536)
            if not more:
                return
            *lines, pending = (pending + more).split(b"\n")
            for line in lines:
                answer = obey(line, link, conditions, ends, listeners)
                print(json.dumps(answer), flush=True)


def main():
    # A socket belongs to the namespace in which it is made: these are made before the others are.
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(OPENINGS)]
    city, box = End(CITY), End(BOX)
    link = Netem(city, box) if is_known(box) else Relay(city, box)
    for end in (city, box):
        end.up()
    first = {
        "pid": os.getpid(),
        "city": city.namespace,
        "box": box.namespace,
        "link": type(link).__name__.lower(),
    }
    print(json.dumps(first), flush=True)
    serve(link, {"city": city, "box": box}, listeners)


if __name__ == "__main__":
    sys.exit(main())
