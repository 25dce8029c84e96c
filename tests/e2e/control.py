"""A small Varlink client for the control socket. Every reply and every error that any test sees is
held against the interface description."""

import json
import socket
from pathlib import Path

from idl import Interface

SOURCE = Path(__file__).resolve().parents[2] / "proto" / "io.handover.Control.varlink"
INTERFACE = Interface(SOURCE.read_text(encoding="utf-8"))
DEADLINE_S = 60

# What every Varlink service answers, see varlink.org/Service.
SERVICE = Interface("""
interface org.varlink.service
method GetInfo() -> (vendor: string, product: string, version: string, url: string,
                     interfaces: []string)
method GetInterfaceDescription(interface: string) -> (description: string)
error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
""")
INTERFACES = {one.name: one for one in (INTERFACE, SERVICE)}


class ControlError(Exception):
    """An error reply; its parameters are attributes as well."""

    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters}")
        self.name, self.parameters = name, parameters

    def __getattr__(self, name):
        try:
            return self.parameters[name]
        except KeyError:
            raise AttributeError(name) from None


class Connection:
    """One connection; replies come in the order of the calls."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(str(path))
        self.calls, self.buffer = [], b""

    def call(self, method, more=False, oneway=False, **parameters):
        if "." not in method:
            method = f"{INTERFACE.name}.{method}"
        message = {"method": method, "parameters": parameters}
        if more:
            message["more"] = True
        if oneway:
            message["oneway"] = True
        else:
            self.calls.append(method)
        self.socket.sendall(json.dumps(message).encode() + b"\0")
        return self

    def receive(self):
        """The next reply: its parameters, and whether more replies to the same call follow."""
        while b"\0" not in self.buffer:
            data = self.socket.recv(65536)
            assert data, "the supervisor closed the connection"
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return self.understand(json.loads(text))

    def understand(self, message):
        assert set(message) <= {"parameters", "continues", "error"}, message
        parameters = message.get("parameters", {})
        interface, _, method = self.calls[0].rpartition(".")
        continues = message.get("continues", False)
        if not continues:
            self.calls.pop(0)
        if "error" in message:
            assert not continues, message
            interface, _, name = message["error"].rpartition(".")
            INTERFACES[interface].check_error(name, parameters)
            raise ControlError(name, parameters)
        INTERFACES[interface].check_reply(method, parameters)
        return parameters, continues

    def ask(self, method, **parameters):
        self.call(method, **parameters)
        reply, continues = self.receive()
        assert not continues
        return reply

    def expect_end(self):
        """The supervisor closes the connection and says nothing more."""
        assert self.buffer == b"" and self.socket.recv(1) == b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Reload:
    """A reload under way, asked for with `more`: its steps as they happen."""

    def __init__(self, path, **parameters):
        self.connection = Connection(path)
        self.connection.call("Reload", more=True, **parameters)
        self.steps = []
        self.over = False

    def next(self):
        """The next step, as the interface says it; raises ControlError when it failed."""
        try:
            step, continues = self.connection.receive()
        except ControlError:
            self.end()
            raise
        self.steps.append(step)
        assert continues == (step["step"] != "done"), step
        if not continues:
            self.end()
        return step

    def until(self, name):
        """Waits for step @name and returns it."""
        while True:
            step = self.next()
            if step["step"] == name:
                return step
            assert not self.over, f"no step {name} in {self.steps}"

    def done(self):
        """Waits for its end; the new generation's number."""
        return self.until("done")["generation"]

    def failure(self):
        """Waits for its failure and returns it."""
        try:
            self.done()
        except ControlError as error:
            return error
        raise AssertionError(f"the reload did not fail: {self.steps}")

    def end(self):
        self.over = True
        self.connection.close()
