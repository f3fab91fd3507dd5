#!/usr/bin/env python3
"""Pictures of `--web` without any library: examples/page.py 'http://192.168.1.20:9690/stream.mjpeg?token=SECRET'"""
import sys, urllib.request

stream, buffer = urllib.request.urlopen(sys.argv[1]), b""
while more := stream.read1(65536):
    buffer += more
    start, end = buffer.find(b"\xff\xd8"), buffer.find(b"\xff\xd9")
    if start >= 0 and end > start:
        jpeg, buffer = buffer[start:end + 2], buffer[end + 2:]
        print(f"picture of {len(jpeg)} bytes", flush=True)
