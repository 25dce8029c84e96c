"""A supervisor's control socket that says what a test tells it to say, well-formed or not."""

import json
import socket
import threading


def reply(continues=False, **parameters):
    message = {"parameters": parameters}
    if continues:
        message["continues"] = True
    return raw(json.dumps(message).encode() + b"\0")


def step(name, **parameters):
    """One reply to Reload; the last of them is `done`."""
    return reply(continues=name != "done", step=name, **parameters)


def error(name, **parameters):
    return raw(json.dumps({"error": name, "parameters": parameters}).encode() + b"\0")


def raw(data):
    return lambda connection: connection.sendall(data)


def wait_for(event):
    """The next action only after the test has set @event."""
    return lambda connection: event.wait(60)


def close(connection):
    connection.close()


class FakeControl:
    """Listens at @path. @script: by short method name, the actions that answer it in turn; after
    them the connection stays open until the other side closes it."""

    def __init__(self, path, script):
        self.path, self.script = str(path), script
        self.calls = []
        self.gone = threading.Event()  # a client has closed its connection
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()

    def accept(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()
        except OSError:
            pass

    def serve(self, connection):
        pending = b""
        try:
            with connection:
                while data := connection.recv(65536):
                    *messages, pending = (pending + data).split(b"\0")
                    for message in messages:
                        self.answer(connection, json.loads(message))
        except OSError:
            pass
        self.gone.set()

    def answer(self, connection, call):
        self.calls.append(call)
        for action in self.script.get(call["method"].rpartition(".")[2], []):
            action(connection)

    def call(self, method):
        """The parameters of the one call to @method."""
        found = [c for c in self.calls if c["method"] == "io.handover.Control." + method]
        assert len(found) == 1, self.calls
        return found[0].get("parameters") or {}
