"""Answers a relay's questions of who may do what, as `moq auth serve` does: a token is the word behind ?jwt=."""

import http.server
import json
import sys
import urllib.parse

GRANTS = {
    "teacher": {"publish": ["anna/**"]},
    "pupil": {"subscribe": ["**"]},
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = urllib.parse.parse_qs(asked.get("query") or "").get("jwt", [""])[0]
        in_room = asked["path"].strip("/") == "class"
        grant = GRANTS.get(token) if in_room else None
        body = json.dumps(grant or {}).encode()
        self.send_response(200 if grant else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 4440), Handler)
print("listening", file=sys.stderr, flush=True)
server.serve_forever()
