"""An SD card that knows what a power cut would leave of it.

A file system of ext4 on a block device whose every write and flush passes through here: the loop
device's backing file is a FUSE file that this program serves. Written data are stable after the
next flush, as on a card with a write cache; a power cut keeps what is stable, and of what was
written since any blocks of 4 KiB, whether older or newer. A copy of a backing file on a disk would
show neither: it has all that was written, flushed or not, and is not of one instant.

    card.py FOLDER MEGABYTES [MOUNT OPTIONS]

makes FOLDER/card.img (the device) and FOLDER/mnt (the file system). Needs root, /dev/fuse, loop
devices, mkfs.ext4. Says `{}` when all is there. Then a line of JSON in is a command, answered by
a line of JSON when it is done:

    {"cut": FILE, "keep": 0.5}  writes into FILE what a power cut now would leave, with this share
                                of the blocks that are not stable
    {"power": 0.5}              the same happens to this card: unmounted, and mounted as it is left;
                                nobody may have a file open there
    {"broken": true}            writes and flushes fail from now on, or work again
    {"remount": true}           unmounts and mounts again, so that ext4 repairs itself
    {}                          figures: writes, bytes written, flushes, since the beginning

Everything ends with the end of stdin.
"""

import ctypes
import errno
import json
import os
import random
import struct
import subprocess
import sys
import threading

GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = (
    3, 4, 14, 15, 16, 17, 18, 20, 25, 26)
FORGET, INTERRUPT, DESTROY, BATCH_FORGET = 2, 36, 38, 42
HEADER = struct.Struct("<IIQQIIIHH")
BIG_WRITES = 1 << 5
MAX_WRITE = 128 << 10
BLOCK = 4096
FILE_MODE = 0o100600

libc = ctypes.CDLL(None, use_errno=True)


class Device:
    """The bytes of the card: as they read, and as they are stable."""

    def __init__(self, size):
        self.lock = threading.Lock()
        self.now = bytearray(size)
        self.stable = bytearray(size)
        self.waiting = []
        self.broken = False
        self.writes = self.bytes = self.flushes = 0

    def read(self, offset, size):
        with self.lock:
            return bytes(self.now[offset:offset + size])

    def write(self, offset, data):
        with self.lock:
            if self.broken:
                raise OSError(errno.EIO, "broken")
            data = data[:max(0, len(self.now) - offset)]
            self.now[offset:offset + len(data)] = data
            self.waiting.append((offset, data))
            self.writes += 1
            self.bytes += len(data)
            return len(data)

    def flush(self):
        with self.lock:
            if self.broken:
                raise OSError(errno.EIO, "broken")
            for offset, data in self.waiting:
                self.stable[offset:offset + len(data)] = data
            self.waiting.clear()
            self.flushes += 1

    def left(self, keep):
        """What is left after a power cut at this instant, with this share of what is not stable."""
        with self.lock:
            left = bytearray(self.stable)
            waiting = list(self.waiting)
        for offset, data in waiting:
            for start in range(0, len(data), BLOCK):
                piece = data[start:start + BLOCK]
                if random.random() < keep:
                    left[offset + start:offset + start + len(piece)] = piece
        return left

    def become(self, content):
        with self.lock:
            self.now, self.stable = content, bytearray(content)
            self.waiting.clear()

    def figures(self):
        with self.lock:
            return {"writes": self.writes, "bytes": self.bytes, "flushes": self.flushes}


class Fuse(threading.Thread):
    """The device as a file: a FUSE mount whose root is a regular file."""

    def __init__(self, device, path):
        super().__init__(daemon=True)
        self.device = device
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        open(path, "wb").close()
        options = f"fd={self.fd},rootmode={FILE_MODE:o},user_id=0,group_id=0"
        done = libc.mount(b"card", path.encode(), b"fuse", 0, options.encode())
        if done != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"mount of {path}: {os.strerror(number)}")

    def run(self):
        while True:
            try:
                request = os.read(self.fd, MAX_WRITE + 4096)
            except OSError as error:
                # ENODEV: unmounted. Others: the request was taken back.
                if error.errno == errno.ENODEV:
                    return
                continue
            _, operation, unique, *_ = HEADER.unpack_from(request)
            if operation in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            failed, answer = 0, b""
            try:
                answer = self.answer(operation, request[HEADER.size:])
            except OSError as error:
                failed = -error.errno
            head = struct.pack("<IiQ", 16 + len(answer), failed, unique)
            try:
                os.write(self.fd, head + answer)
            except OSError:
                pass

    def answer(self, operation, body):
        if operation == INIT:
            return struct.pack("<IIIIHHIIHHII24x", 7, 31, 0, BIG_WRITES, 16, 12, MAX_WRITE, 1,
                               0, 0, 0, 0)
        if operation in (GETATTR, SETATTR):
            size = len(self.device.now)
            attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, size, size // 512, 0, 0, 0, 0, 0, 0,
                                     FILE_MODE, 1, 0, 0, 0, BLOCK, 0)
            return struct.pack("<QII", 3600, 0, 0) + attributes
        if operation == OPEN:
            return struct.pack("<QIi", 1, 0, 0)
        if operation == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return self.device.read(offset, size)
        if operation == WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            return struct.pack("<II", self.device.write(offset, body[40:40 + size]), 0)
        if operation == FSYNC:
            self.device.flush()
            return b""
        if operation in (FLUSH, RELEASE, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "not needed")


class Card:
    """The device with its file system."""

    def __init__(self, folder, megabytes, options):
        self.image, self.mount_point = f"{folder}/card.img", f"{folder}/mnt"
        self.options = options
        self.device = Device(megabytes << 20)
        self.fuse = Fuse(self.device, self.image)
        self.fuse.start()
        os.mkdir(self.mount_point)

    def make(self):
        run("mkfs.ext4", "-q", "-F", "-b", str(BLOCK),
            "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            self.image)
        self.mount()

    def mount(self):
        run("mount", "-o", f"loop,{self.options}", self.image, self.mount_point)

    def unmount(self):
        run("umount", self.mount_point)

    def end(self):
        self.device.broken = False
        for path in (self.mount_point, self.image):
            subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL, check=False)

    def lose_power(self, keep):
        left = self.device.left(keep)
        self.unmount()
        self.device.become(left)
        self.mount()

    def obey(self, command):
        if "broken" in command:
            self.device.broken = command["broken"]
        if command.get("remount"):
            self.unmount()
            self.mount()
        if "power" in command:
            self.lose_power(command["power"])
        if "cut" in command:
            write_sparse(command["cut"], self.device.left(command["keep"]))
        return self.device.figures()


def write_sparse(path, content):
    with open(path, "wb") as file:
        file.truncate(len(content))
        empty = bytes(1 << 20)
        for start in range(0, len(content), len(empty)):
            piece = content[start:start + len(empty)]
            if piece != empty[:len(piece)]:
                file.seek(start)
                file.write(piece)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def main():
    options = sys.argv[3] if len(sys.argv) > 3 else "noatime,errors=remount-ro"
    card = Card(sys.argv[1], int(sys.argv[2]), options)
    try:
        card.make()
        print("{}", flush=True)
        for line in sys.stdin:
            print(json.dumps(card.obey(json.loads(line))), flush=True)
    finally:
        card.end()


if __name__ == "__main__":
    sys.exit(main())
