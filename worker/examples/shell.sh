#!/bin/sh
# A worker as a shell script: this script answers, on the socket that was handed over (LISTEN_FDS, so
# it is descriptor 3). A shell cannot accept; perl can, and no Debian is without it.
#
#	handoverd --name web --listen http=127.0.0.1:8080 -- ./shell.sh
#	systemd-socket-activate -l 127.0.0.1:8080 ./shell.sh
#
# SIGTERM: each of its processes answers the connection that it has, and ends. None is killed while
# it accepts, which could cost a connection: it stops waiting for one by itself within WAIT seconds.

WAIT=1
PROCESSES=4
CR=$(printf '\r')

answer() {
	IFS= read -r request || exit 0
	while IFS= read -r field && [ "$field" != "$CR" ] && [ -n "$field" ]; do :; done
	body="Hello from shell.sh, you said: ${request%"$CR"}"
	printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n'
	printf 'Content-Length: %d\r\nX-Generation: %s\r\n\r\n%s\n' \
		$((${#body} + 1)) "${HANDOVER_GENERATION:-0}" "$body"
}

# Waits WAIT seconds for a connection, and becomes what answers it. The alarm only interrupts the
# waiting: a connection that comes with it is answered. select() is for a listener on which another
# process has set O_NONBLOCK, the alarm's reach over accept() for one that a neighbour emptied.
# shellcheck disable=SC2016 # that is perl
ACCEPT='$SIG{ALRM} = sub {};
open(my $listener, "+<&=", 3) or exit 2;
alarm shift;
vec(my $wanted = "", 3, 1) = 1;
select($wanted, undef, undef, undef) > 0 or exit 1;
accept(my $connection, $listener) or exit 1;
alarm 0;
open(STDIN, "<&", $connection) && open(STDOUT, ">&", $connection) && exec @ARGV;'

accept_until_told() {
	draining=
	trap 'draining=yes' TERM
	until [ "$draining" ]; do
		perl -e "$ACCEPT" "$WAIT" /bin/sh "$0" answer
	done
}

if [ "$1" = answer ]; then
	LC_ALL=C
	answer
	exit
fi
if [ "$LISTEN_PID" != $$ ] || [ "$LISTEN_FDS" != 1 ]; then
	echo "shell.sh: needs one socket, by LISTEN_FDS" >&2
	exit 2
fi

children=
# shellcheck disable=SC2317 # called by the trap
drain() {
	[ -z "$NOTIFY_SOCKET" ] || systemd-notify --no-block STOPPING=1
	# shellcheck disable=SC2086 # a list
	kill -TERM $children
}
trap drain TERM
while [ "$PROCESSES" -gt 0 ]; do
	accept_until_told &
	children="$children $!"
	PROCESSES=$((PROCESSES - 1))
done
[ -z "$NOTIFY_SOCKET" ] || systemd-notify --no-block --ready
# A trap interrupts wait: each child is waited for until it has really gone.
for child in $children; do
	while kill -0 "$child" 2>/dev/null; do
		wait "$child"
	done
done
exit 0
