#include <stdio.h>
#include <string.h>

#include "supervisor/config_kind.h"

static void print_section(const char *section, const void *object, FILE *out)
{
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *directive = &config_directives[i];
		if (strcmp(directive->section, section) == 0)
			directive->kind->print(directive, object, out);
	}
}

int config_print(const struct config *config, FILE *out)
{
	fprintf(out, "# service %s\n", config->name);
	for (size_t i = 0; i < config->n_listeners; i++) {
		fprintf(out, "[Listener %s]\n", config->listeners[i].name);
		print_section("Listener", &config->listeners[i], out);
		fputc('\n', out);
	}
	fprintf(out, "[Worker]\n");
	print_section("Worker", &config->worker, out);
	fprintf(out, "\n[Control]\n");
	print_section("Control", &config->control, out);
	return fflush(out) == 0 ? 0 : -errno;
}
