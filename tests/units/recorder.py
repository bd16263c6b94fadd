#!/usr/bin/env python3
"""recorder.py PORT FILE [TOKEN] - a webhook that appends the body of every POST to FILE, synced before it answers 200.

With TOKEN, a request without "Authorization: Bearer TOKEN" is answered 401 and not recorded.
"""
import http.server
import os
import sys

port, path = int(sys.argv[1]), sys.argv[2]
token = sys.argv[3] if len(sys.argv) > 3 else None
log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 200
        if token and self.headers["Authorization"] != "Bearer " + token:
            status = 401
        else:
            os.write(log, body.rstrip(b"\n") + b"\n")
            os.fsync(log)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", port), Recorder).serve_forever()
