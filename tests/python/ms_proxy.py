"""A proxy for TCP connections that a test can cut all at once.

    with Proxy(listen_port, port) as proxy: ... proxy.cut()
"""

import contextlib
import socket
import threading


class Proxy:
    """Passes what comes to 127.0.0.1:listen_port on to 127.0.0.1:port."""

    def __init__(self, listen_port, port):
        self.port = port
        self.lock = threading.Lock()
        self.open = set()
        self.server = socket.create_server(("127.0.0.1", listen_port))

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.close()
        self.cut()
        return False

    def cut(self):
        """Ends all connections."""
        with self.lock:
            for each in self.open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self.open.clear()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self.port))
                except OSError:
                    client.close()
                    continue
                with self.lock:
                    self.open |= {client, broker}
                for ends in (client, broker), (broker, client):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for each in source, target:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            with self.lock:
                self.open.discard(each)
