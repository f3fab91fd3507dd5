#!/usr/bin/env python3
"""Pictures of `--web` with OpenCV: examples/opencv.py 'http://192.168.1.20:9690/#SECRET', the address as Eyeline prints it"""
import sys, cv2

page, _, secret = sys.argv[1].partition("#")
capture = cv2.VideoCapture(f"{page.rstrip('/')}/stream.mjpeg?token={secret}" if secret else page)
if not capture.isOpened():
    sys.exit(f"{page} cannot be opened: the secret behind # is wrong, or nothing is there")
while True:
    there, picture = capture.read()
    if not there:
        break
    print(f"picture {picture.shape[1]}x{picture.shape[0]}, brightness {picture.mean():.0f}", flush=True)
