"""JPEGs from stdin as multipart/x-mixed-replace, as everybody writes it: the newest picture, a boundary before each.

usage: multipart.py ADDRESS PORT
"""

import socketserver
import sys
import threading
from http import server

news = threading.Condition()
newest = None


class Stream(server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/stream.mjpeg":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Cache-Control", "no-cache, private")
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=FRAME")
        self.end_headers()
        try:
            while True:
                with news:
                    news.wait()
                    jpeg = newest
                self.wfile.write(b"--FRAME\r\n")
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(jpeg)))
                self.end_headers()
                self.wfile.write(jpeg)
                self.wfile.write(b"\r\n")
        except OSError:
            pass


class Server(socketserver.ThreadingMixIn, server.HTTPServer):
    allow_reuse_address = True
    daemon_threads = True


def read():
    global newest
    rest = b""
    while more := sys.stdin.buffer.read1(1 << 20):
        rest += more
        # Within a scan 0xff is stuffed, so that no end is met there.
        while (end := rest.find(b"\xff\xd9")) >= 0:
            jpeg, rest = rest[: end + 2], rest[end + 2 :]
            with news:
                newest = jpeg
                news.notify_all()


threading.Thread(target=read, daemon=True).start()
Server((sys.argv[1], int(sys.argv[2])), Stream).serve_forever()
