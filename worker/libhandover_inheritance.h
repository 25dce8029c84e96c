/*
 * What a process was given at its start: the environment variables, and the descriptors that they
 * name. Read in one go, before anything is changed: inheritance_read() only looks, so that it can
 * fail without a trace; inheritance_take() makes the descriptors ours.
 */
#ifndef HANDOVER_WORKER_LIBHANDOVER_INHERITANCE_H
#define HANDOVER_WORKER_LIBHANDOVER_INHERITANCE_H

#include <stddef.h>
#include <stdint.h>

struct inherited_socket {
	int fd;
	char *name;
};

struct inheritance {
	int channel_fd; /* -1: no handover */
	struct inherited_socket *sockets;
	size_t n_sockets;
	char *notify_socket;	/* NULL: none */
	uint64_t watchdog_usec; /* 0: nobody watches */
	char *name;		/* NULL: no handover */
	uint64_t generation;	/* 0: no handover */
	int slot;		/* -1: no handover */
};

/* Fills @ret with what is there; nothing is no error. Returns 0, or -EINVAL, -EBADF, -ENOTSOCK,
 * -EPROTOTYPE, -ENOMEM as handover_attach() documents them, and then *ret is empty. */
int inheritance_read(struct inheritance *ret);

/* Makes every descriptor close-on-exec: from here on inheritance_finish() closes them. */
void inheritance_take(struct inheritance *inheritance);

/* Removes the variables that are meant for this process alone. */
void inheritance_unset_environment(void);

/* Adds @fd (taken) under @name (copied). Returns 0 or -ENOMEM, and then @fd is still the
 * caller's. */
int inheritance_add_socket(struct inheritance *inheritance, const char *name, int fd);

/* Frees all but the descriptors: for one that was read and not taken. */
void inheritance_forget(struct inheritance *inheritance);

/* Closes and frees everything. */
void inheritance_finish(struct inheritance *inheritance);

#endif
