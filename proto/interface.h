/* The text of proto/io.handover.Control.varlink, embedded at build time. */
#ifndef HANDOVER_PROTO_INTERFACE_H
#define HANDOVER_PROTO_INTERFACE_H

extern const char control_interface[];

#endif
