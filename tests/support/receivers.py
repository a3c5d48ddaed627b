"""Receivers of events: servers of HTTP and of SMTP that answer as a test wants, hang, or are not there."""

import contextlib
import json
import socket
import socketserver
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE_S = 120.0


def wait_for(look, what):
    """Return what `look` finds, once it finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


class Heard:
    """One request."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class HttpReceiver:
    """Answers every POST with `answer(heard)`: ``(status, text)``, or headers too; hangs while `gate` is shut."""

    def __init__(self, certificate=None, answer=lambda _: (200, "thank you")):
        self.heard = []
        self.answer = answer
        self.gate = threading.Event()
        self.gate.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard = Heard(self.path, dict(self.headers.items()), body)
                receiver.heard.append(heard)
                receiver.gate.wait(PATIENCE_S)
                status, text, *more = receiver.answer(heard)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in (more[0] if more else {}).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def place(self):
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.place}"

    def end(self):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


class _SmtpHandler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            self._say("220 receiver ready")
            while line := self.rfile.readline():
                self.server.receiver.said.append(line.decode().strip())
                self._answer(line.decode().partition(" ")[0].strip().upper())

    def finish(self):
        super().finish()
        self.request.close()

    def _answer(self, verb):
        answers = {"EHLO": "250-receiver\r\n250-STARTTLS\r\n250 AUTH PLAIN", "AUTH": "235 welcome"}
        answers |= {"STARTTLS": "220 go on", "DATA": "354 go on", **self.server.receiver.refuse}
        self._say(answers.get(verb, "250 fine"))
        if verb == "DATA":
            self._take()
        elif verb == "STARTTLS" and verb not in self.server.receiver.refuse:
            self._secure()

    def _say(self, text):
        self.wfile.write(f"{text}\r\n".encode())

    def _take(self):
        letter = b""
        while (line := self.rfile.readline()) != b".\r\n":
            letter += line
        self.server.receiver.letters.append(letter)
        self._say(self.server.receiver.refuse.get("LETTER", "250 taken as 42"))

    def _secure(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server.receiver.certificate)
        self.request = context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)


class SmtpReceiver:
    """Speaks as much SMTP as a sender of letters needs, with STARTTLS and AUTH PLAIN when it has a certificate."""

    def __init__(self, certificate=None, refuse=None):
        self.letters = []
        self.said = []
        self.certificate = certificate
        self.refuse = refuse or {}
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _SmtpHandler)
        self._server.daemon_threads = True
        self._server.receiver = self
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def place(self):
        return f"127.0.0.1:{self._server.server_address[1]}"

    def end(self):
        self._server.shutdown()
        self._server.server_close()


class DeafReceiver:
    """Takes connections and never says a word; with `drip`, a byte now and then."""

    def __init__(self, drip=b""):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._drip = drip
        self._ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def place(self):
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._listening.accept()
                threading.Thread(target=self._keep, args=(connected,), daemon=True).start()

    def _keep(self, connected):
        with connected, contextlib.suppress(OSError):
            while not self._ended.wait(0.05):
                connected.send(self._drip)

    def end(self):
        self._ended.set()
        self._listening.close()
