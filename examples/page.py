#!/usr/bin/env python3
"""Pictures of `--web` without any library: examples/page.py 'http://192.168.1.20:9690/#SECRET', the address as Eyeline prints it"""
import sys, urllib.error, urllib.request

page, _, secret = sys.argv[1].partition("#")
try:
    stream = urllib.request.urlopen(f"{page.rstrip('/')}/stream.mjpeg?token={secret}" if secret else page)
except urllib.error.HTTPError as error:
    sys.exit("the secret behind # is wrong" if error.code == 401 else f"the page says: {error.read().decode().strip()}")
except (OSError, ValueError) as error:
    sys.exit(f"{page} cannot be opened: {error}")
buffer = b""
while more := stream.read1(65536):
    buffer += more
    start, end = buffer.find(b"\xff\xd8"), buffer.find(b"\xff\xd9")
    if start >= 0 and end > start:
        jpeg, buffer = buffer[start:end + 2], buffer[end + 2:]
        print(f"picture of {len(jpeg)} bytes", flush=True)
