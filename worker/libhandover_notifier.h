/*
 * The sending side of sd_notify(3), without libsystemd: datagrams to the socket that NOTIFY_SOCKET
 * names, never blocking. The socket is connected, so that epoll(7) tells when a receiver that was
 * full takes more (an unconnected one is always writable), and the same one is connected again when
 * the receiver has come back as another: who watches it goes on watching it.
 */
#ifndef HANDOVER_WORKER_LIBHANDOVER_NOTIFIER_H
#define HANDOVER_WORKER_LIBHANDOVER_NOTIFIER_H

#include <sys/socket.h>
#include <sys/un.h>

struct notifier {
	int fd; /* -1: nobody wants to know */
	struct sockaddr_un address;
	socklen_t address_bytes;
};

/* @path is an absolute path or @ and an abstract name; NULL makes one that sends nothing. Returns
 * 0, -EINVAL when it is neither or too long for unix(7), or what socket(2) says. */
int notifier_init(struct notifier *notifier, const char *path);

/* Sends @text as one datagram. Returns 0, -EAGAIN when the receiver is full (wait until fd is
 * writable), or what connect(2) or send(2) say: the datagram is lost then. */
int notifier_send(struct notifier *notifier, const char *text);

void notifier_finish(struct notifier *notifier);

#endif
