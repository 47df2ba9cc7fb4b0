"""A TCP proxy that can hold back what passes, as a network does that drops every packet, and can then break off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class DroppingProxy:
    """Listens on a port of its own, and passes everything on to another port of this machine."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        self._closed = False

    @classmethod
    @contextmanager
    def running(cls, to_port: int) -> Iterator[DroppingProxy]:
        """Pass on while inside."""
        proxy = cls(to_port)
        threading.Thread(target=proxy._accept, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy._closed = True
            proxy.heal()
            proxy._listener.close()
            proxy.break_off()

    def cut(self) -> None:
        """Let nothing pass in either direction, and no connection come about."""
        self._open.clear()

    def heal(self) -> None:
        """Let pass what was held back, and everything after it."""
        self._open.set()

    def break_off(self) -> None:
        """Close all connections."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _accept(self) -> None:
        while not self._closed:
            try:
                ours, _ = self._listener.accept()
                self._open.wait()
                theirs = socket.create_connection(("127.0.0.1", self._to_port))
            except OSError:
                continue
            self._sockets += [ours, theirs]
            for source, sink in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while some := source.recv(65_536):
                self._open.wait()
                sink.sendall(some)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
