"""The receiver of the usual Python tutorial: a four-byte length, a JPEG, imshow."""

import socket
import struct
import sys
import time

import cv2
import numpy

port = int(sys.argv[1])
while True:
    try:
        server = socket.create_connection(("127.0.0.1", port))
        break
    except ConnectionRefusedError:
        time.sleep(0.1)

data = b""
while True:
    while len(data) < 4:
        data += server.recv(65536)
    (length,) = struct.unpack(">L", data[:4])
    data = data[4:]
    while len(data) < length:
        data += server.recv(65536)
    frame = cv2.imdecode(numpy.frombuffer(data[:length], numpy.uint8), cv2.IMREAD_COLOR)
    data = data[length:]
    cv2.imshow("camera", frame)
    cv2.waitKey(1)
