"""The control interface is what its description says, and the description is what is served."""

import pytest

from control import INTERFACE, SOURCE, ControlError
from idl import Broken, Interface
from paths import HTTPD, PROGRAM

CALLS = {"Status": {}, "Workers": {}, "Listeners": {}, "Ping": {}, "Reload": {"wait": True},
         "Abort": {}, "Stop": {"now": False}}


def test_the_description_parses_and_every_method_is_called_here():
    """The description is well-formed Varlink, and CALLS leaves no method of it out."""
    assert INTERFACE.name == "io.handover.Control"
    assert set(INTERFACE.methods) == set(CALLS)


@pytest.mark.parametrize("text", [
    "interface a.b method m() -> ()", "interface a.b method M() -> (x: Nowhere)", "interface a",
    "interface a.b type T (x: int, x: int)", "interface a.b error E (x: ??int)",
    "interface a.b method M(a, b) -> ()", "interface a.b type T (x: int", "interface a.b type T !",
    "interface a.b type T (x_: int)", "interface a.b error E () error E ()",
])
def test_a_broken_description_is_refused(text):
    """The parser that all replies are checked by can fail."""
    with pytest.raises(Broken):
        Interface(text)


@pytest.mark.parametrize("reply", [
    {}, {"time_usec": "1"}, {"time_usec": True}, {"time_usec": None}, {"time_usec": 1, "more": 1},
])
def test_a_reply_that_does_not_fit_is_noticed(reply):
    """A missing field, a wrong type, a null and an unknown field are each found."""
    INTERFACE.check_reply("Ping", {"time_usec": 1})
    with pytest.raises(AssertionError):
        INTERFACE.check_reply("Ping", reply)


def test_every_method_answers_as_described(service):
    """Each method's reply, with progress and without, has the fields and types of the interface."""
    web = service(HTTPD, listen=["http=127.0.0.1:0", "local=@" + "handover-test-interface"],
                  options=["Listener http.ReusePort=yes"])
    for method, parameters in CALLS.items():
        if method == "Abort":
            with pytest.raises(ControlError) as caught:
                web.ask(method, **parameters)
            assert caught.value.name == "Refused"
        else:
            web.ask(method, **parameters)
        if method == "Reload":
            assert web.begin_reload().done() == 3
    assert web.wait() == 0


def test_introspection_returns_the_file_byte_for_byte(service):
    """GetInterfaceDescription gives the very text of the .varlink file."""
    with service(PROGRAM).connect() as connection:
        info = connection.ask("org.varlink.service.GetInfo")
        assert set(info["interfaces"]) == {"io.handover.Control", "org.varlink.service"}
        reply = connection.ask("org.varlink.service.GetInterfaceDescription",
                               interface="io.handover.Control")
    assert reply["description"].encode() == SOURCE.read_bytes()


def test_each_field_of_the_status_is_filled_truly(service):
    """The numbers of Status, Workers and Listeners agree with each other and with the processes."""
    web = service(PROGRAM, workers=3, options=["Listener http.ReusePort=yes"])
    status = web.status()
    (generation,) = status["generations"]
    assert (status["name"], status["pid"], status["state"]) == (web.name, web.pid, "serving")
    assert (status["slots"], status["slots_serving"], status["serving"]) == (3, 3, 1)
    assert (status["crashes"], status["last_crash"], status["transition"]) == (0, None, None)
    last = status["last"]
    assert (last["kind"], last["phase"], last["generation"]) == ("start", "done", 1)
    assert last["took_usec"] > 0 and last["reason"] is None
    assert (generation["generation"], generation["state"], generation["workers"]) == (1, "serving", 3)
    assert generation["executable"] == generation["command"][0] == PROGRAM
    workers = web.workers(state="serving", kind="notify", generation=1, status="at work")
    assert [worker["slot"] for worker in workers] == [0, 1, 2]
    assert [shard["slot"] for shard in web.shards("http")] == [0, 1, 2]
    assert all(not shard["parked"] and shard["queue"] == 0 for shard in web.shards())


def test_several_calls_on_one_connection_are_answered_in_order(service):
    """Calls that are sent at once are answered in their order, a oneway call not at all."""
    with service(PROGRAM).connect() as connection:
        connection.call("Ping").call("Status", oneway=True).call("Workers").call("Listeners")
        replies = [connection.receive()[0] for _ in range(3)]
    assert [list(reply) for reply in replies] == [["time_usec"], ["workers"], ["listeners"]]
