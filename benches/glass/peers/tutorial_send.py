"""The sender of the usual Python tutorial: OpenCV, a TCP socket, JPEGs behind a four-byte length. The camera is y4m on stdin."""

import socket
import struct
import sys

import cv2
import numpy

port, quality = int(sys.argv[1]), int(sys.argv[2])
camera = sys.stdin.buffer
header = {word[:1]: word[1:] for word in camera.readline().split()[1:]}
width, height = int(header[b"W"]), int(header[b"H"])

server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen(1)
client, _ = server.accept()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

while camera.readline().startswith(b"FRAME"):
    picture = numpy.frombuffer(camera.read(width * height * 3 // 2), numpy.uint8).reshape(height * 3 // 2, width)
    frame = cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420)
    _, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    client.sendall(struct.pack(">L", len(jpeg)) + jpeg.tobytes())
