#!/usr/bin/env python3
"""Pictures and sound of `recv`, as numbers: examples/recv.py --host lab

`recv` is found under that name or as `eyeline-recv`, or $RECV says where it is.

Each picture is width x height bytes of brightness and then the two colours (4:2:0); sound is 16 bit, 48 kHz.
"""
import json, os, shutil, subprocess, sys, threading

program = os.environ.get("RECV") or shutil.which("recv") or shutil.which("eyeline-recv")
if not program:
    sys.exit("recv is not found: say where it is, like RECV=target/release/recv")
pictures, sound = os.pipe(), os.pipe()
recv = subprocess.Popen(
    [program, "--no-window", "--output", f"/dev/fd/{pictures[1]}", "--audio-output", f"/dev/fd/{sound[1]}", "--stats", "json", *sys.argv[1:]],
    pass_fds=(pictures[1], sound[1]), stdout=subprocess.PIPE)
os.close(pictures[1]), os.close(sound[1])


def read_pictures():
    with open(pictures[0], "rb") as y4m:
        head = dict((word[:1], word[1:]) for word in y4m.readline().decode().split()[1:])
        if not head:
            return  # It ended before any picture.
        width, height = int(head["W"]), int(head["H"])
        while y4m.readline():
            luma = y4m.read(width * height)
            y4m.read(2 * ((width + 1) // 2) * ((height + 1) // 2))
            print(f"picture {width}x{height}, brightness {sum(luma[::997]) // len(luma[::997])}", flush=True)


def read_sound():
    with open(sound[0], "rb") as wav:
        wav.read(44)
        while block := wav.read(9600):
            print(f"sound, loudest {max(memoryview(block[:len(block) & ~1]).cast('h'))}", flush=True)


threads = [threading.Thread(target=read, daemon=True) for read in (read_pictures, read_sound)]
[thread.start() for thread in threads]
for line in recv.stdout:
    print("latency", json.loads(line).get("latency_ms"), flush=True)
# Where it failed, it has said why itself.
sys.exit(recv.wait())
