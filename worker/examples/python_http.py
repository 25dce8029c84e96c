#!/usr/bin/python3
"""A worker in Python that knows nothing of handover: LISTEN_FDS and sd_notify(3) are enough.

    handoverd --name web --listen http=127.0.0.1:8080 -- /usr/bin/python3 python_http.py
    systemd-socket-activate -l 127.0.0.1:8080 /usr/bin/python3 python_http.py
    /usr/bin/python3 python_http.py                     alone, at 127.0.0.1:8080 or PORT

SIGTERM: it stops accepting, answers on each open connection once more with `Connection: close`,
and exits when all are closed, at the latest after DRAIN_S.
"""

import asyncio
import contextlib
import email.utils
import os
import signal
import socket
import sys

LISTEN_FDS_START = 3  # sd_listen_fds(3)
HEAD_MAX_BYTES = 32 * 1024
IDLE_S = 75
DRAIN_S = 30
GENERATION = os.environ.get("HANDOVER_GENERATION", "0")
BODY = b"Hello from python_http.py\n"


def sockets_handed_over():
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=LISTEN_FDS_START + i) for i in range(count)]


def notify(state):
    """sd_notify(3) without a library."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path[0] == "@" else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with contextlib.suppress(OSError):
            sender.sendto(state.encode(), address)


class Service:
    def __init__(self, listeners):
        self.listeners = listeners
        self.connections = set()
        self.draining = False
        self.drained = asyncio.Event()

    def start_accepting(self):
        loop = asyncio.get_running_loop()
        for listener in self.listeners:
            listener.setblocking(False)
            # Not asyncio.start_server(): it calls listen(100) on a socket that is not ours alone,
            # and that would cut short the queue of everybody.
            loop.add_reader(listener, self.accept, listener)

    def accept(self, listener):
        try:
            connection, _ = listener.accept()
        except OSError:  # a neighbour was faster
            return
        task = asyncio.create_task(self.serve(connection))
        self.connections.add(task)
        task.add_done_callback(self.ended)

    def ended(self, task):
        self.connections.discard(task)
        if self.draining and not self.connections:
            self.drained.set()

    def drain(self):
        loop = asyncio.get_running_loop()
        notify("STOPPING=1")
        self.draining = True
        for listener in self.listeners:
            loop.remove_reader(listener)  # first out of the loop, and never shutdown()
        loop.call_later(DRAIN_S if self.connections else 0, self.drained.set)

    async def serve(self, connection):
        reader, writer = await asyncio.open_connection(sock=connection, limit=HEAD_MAX_BYTES)
        with contextlib.suppress(asyncio.TimeoutError, ConnectionError,
                                 asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while await self.answer(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def answer(self, reader, writer):
        """Answers one request. Returns whether another may follow."""
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_S)
        lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
        length = fields.get("content-length", "0").strip()
        if not length.isdecimal() or len(length) > 6 or "transfer-encoding" in fields:
            status, keep = "501 Not Implemented", False
        else:
            await asyncio.wait_for(reader.readexactly(int(length)), IDLE_S)
            status = "200 OK"
            keep = (lines[0].endswith("http/1.1") and not self.draining
                    and "close" not in fields.get("connection", ""))
        body = b"" if lines[0].startswith("head ") else BODY
        writer.write((f"HTTP/1.1 {status}\r\n"
                      f"Date: {email.utils.formatdate(usegmt=True)}\r\n"
                      "Content-Type: text/plain\r\n"
                      f"Content-Length: {len(BODY)}\r\n"
                      f"X-Generation: {GENERATION}\r\n"
                      f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n").encode() + body)
        await writer.drain()
        return keep


async def main():
    listeners = sockets_handed_over()
    if not listeners:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
        listeners = [socket.create_server(("127.0.0.1", port), backlog=4096)]
    service = Service(listeners)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.drain)
    service.start_accepting()
    notify("READY=1")
    await service.drained.wait()


asyncio.run(main())
