"""A proxy before a PostgreSQL server that cuts a connection around its next COMMIT."""

import contextlib
import socket
import threading


class CuttingProxy:
    """Passes everything on until `cut` is set.

    ``before``: the next COMMIT never reaches the server. ``during``: it does, and its answer never
    comes back. Then the connection is closed, and later ones pass again.
    """

    def __init__(self, port):
        self.cut = None
        self.cuts = 0
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._ended = True
        # Closing alone would leave the thread in accept.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self):
        while not self._ended:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            pair = _Pair(self, client, server)
            threading.Thread(target=pair.send, daemon=True).start()
            threading.Thread(target=pair.receive, daemon=True).start()


class _Pair:
    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.client = client
        self.server = server
        self.silent = False

    def send(self):
        with contextlib.suppress(OSError):
            while content := self.client.recv(65536):
                if self.proxy.cut is not None and b"COMMIT" in content:
                    how, self.proxy.cut = self.proxy.cut, None
                    self.proxy.cuts += 1
                    self.silent = True
                    if how == "during":
                        self.server.sendall(content)
                        self.server.shutdown(socket.SHUT_WR)  # it commits, and then sees that nobody is there
                        return
                    break
                self.server.sendall(content)
        self._end()

    def receive(self):
        with contextlib.suppress(OSError):
            while content := self.server.recv(65536):
                if not self.silent:
                    self.client.sendall(content)
        self._end()

    def _end(self):
        for each in (self.client, self.server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
