"""A link of two veth devices, each with netem on its way out, and tbf behind it for the rate."""

import json
import os
import subprocess

from relay import MOST, MTU, QUEUE_PACKETS, QUEUE_S


def is_known(end):
    """Whether this kernel has netem."""
    try:
        end.run("tc", "qdisc", "add", "dev", "lo", "root", "netem")
        end.run("tc", "qdisc", "delete", "dev", "lo", "root")
    except subprocess.CalledProcessError:
        return False
    return True


class Netem:
    """Both directions; the packets go without this program."""

    sources = []

    def __init__(self, city, box):
        self.ways = {"up": box, "down": city}
        far = f"/proc/{os.getpid()}/fd/{city.namespace}"
        pair = "link0 type veth peer name link0 netns".split()
        box.run("ip", "link", "add", *pair, far)
        for end in self.ways.values():
            # A lost packet is one segment and not a train of them.
            end.run("ip", "link", "set", "link0", "mtu", str(MTU), "gso_max_segs", "1")
            end.run("tc", "qdisc", "add", "dev", "link0", "root", "handle", "1:", "netem")

    def wait(self):
        return None

    def work(self, ready):
        pass

    def set(self, name, conditions):
        delay, jitter = f"{conditions['delay_ms']}ms", f"{conditions['jitter_ms']}ms"
        loss = "100%" if conditions["cut"] else f"{100 * conditions['loss']}%"
        self.tc(name, "change root handle 1: netem limit", MOST, "delay", delay, jitter, "loss", loss)
        if rate := conditions["rate_bits"]:
            limit = max(QUEUE_PACKETS * MTU, int(QUEUE_S * rate / 8))
            tbf = "replace parent 1:1 handle 2: tbf burst"
            self.tc(name, tbf, 2 * MTU, "rate", f"{rate}bit", "limit", limit)
        else:
            self.tc(name, "replace parent 1:1 handle 3: pfifo limit", MOST)

    def tc(self, name, how, *more):
        verb, *how = how.split()
        more = (str(word) for word in more)
        self.ways[name].run("tc", "qdisc", verb, "dev", "link0", *how, *more)

    def figures(self, name):
        shown = self.ways[name].run("tc", "-s", "-j", "qdisc", "show", "dev", "link0")
        netem = next(each for each in json.loads(shown) if each["kind"] == "netem")
        return {"passed": netem["packets"], "lost": netem["drops"]}
