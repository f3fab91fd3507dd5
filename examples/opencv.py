#!/usr/bin/env python3
"""Pictures of `--web` with OpenCV: examples/opencv.py 'http://192.168.1.20:9690/stream.mjpeg?token=SECRET'"""
import sys, cv2

capture = cv2.VideoCapture(sys.argv[1])
while True:
    there, picture = capture.read()
    if not there:
        break
    print(f"picture {picture.shape[1]}x{picture.shape[0]}, brightness {picture.mean():.0f}", flush=True)
