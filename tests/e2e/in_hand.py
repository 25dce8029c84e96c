"""Single requests that a test holds in its hand: sent now, their answers looked at later."""

import socket

DEADLINE_S = 60


class InHand:
    """A request that the program answers after @delay_ms. An unused connection where that is None."""

    def __init__(self, address, delay_ms=None):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), DEADLINE_S)
        if delay_ms is not None:
            self.ask(delay_ms)

    def ask(self, delay_ms=0):
        self.socket.sendall(f"GET /?delay_ms={delay_ms} HTTP/1.1\r\nHost: x\r\n"
                            "Connection: close\r\n\r\n".encode())

    def answer(self):
        """The generation that answered; None where the connection was cut without an answer."""
        with self.socket:
            data = b""
            try:
                while more := self.socket.recv(65536):
                    data += more
            except ConnectionResetError:
                assert not data, f"cut within the answer {data!r}"
        if not data:
            return None
        head, _, _ = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0].startswith("HTTP/1.1 200 "), lines[0]
        fields = dict(line.split(": ", 1) for line in lines[1:])
        return int(fields["X-Generation"])


def in_hand(web, count, delay_ms):
    """@count requests, sent one after the other; not necessarily accepted yet."""
    address = web.shards()[0]["address"]
    return [InHand(address, delay_ms) for _ in range(count)]
