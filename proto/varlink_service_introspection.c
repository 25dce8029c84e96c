#include "proto/varlink_service_internal.h"

#include <string.h>

static const char SERVICE_DESCRIPTION[] =
	"# What every Varlink service says of itself.\n"
	"interface org.varlink.service\n"
	"\n"
	"# Who made it, and which interfaces it has.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# The text of an interface's definition.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"# There is no such interface.\n"
	"error InterfaceNotFound (interface: string)\n"
	"\n"
	"# The interface has no such method.\n"
	"error MethodNotFound (method: string)\n"
	"\n"
	"# The interface has the method, the service does not.\n"
	"error MethodNotImplemented (method: string)\n"
	"\n"
	"# A parameter is missing, unknown or has a wrong value.\n"
	"error InvalidParameter (parameter: string)\n"
	"\n"
	"# The caller may not do this.\n"
	"error PermissionDenied ()\n"
	"\n"
	"# The method is to be called with `more`.\n"
	"error ExpectedMore ()\n";

/* The name of a parameter that is not @known (NULL: none is), or NULL. */
static const char *find_unknown(json_t *parameters, const char *known)
{
	const char *name;
	json_t *value;
	json_object_foreach(parameters, name, value)
	{
		if (!known || strcmp(name, known) != 0)
			return name;
	}
	return NULL;
}

static void get_info(struct varlink_service *service, struct varlink_call *call, json_t *parameters)
{
	const struct varlink_service_config *config = &service->config;
	const char *unknown = find_unknown(parameters, NULL);

	if (unknown) {
		varlink_call_invalid_parameter(call, unknown);
		return;
	}
	json_t *info = json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", config->vendor,
				 "product", config->product, "version", config->version, "url",
				 config->url, "interfaces", VARLINK_SERVICE_INTERFACE,
				 config->interface);
	varlink_call_reply(call, info);
}

static void get_interface_description(struct varlink_service *service, struct varlink_call *call,
				      json_t *parameters)
{
	const char *unknown = find_unknown(parameters, "interface");
	const char *interface = json_string_value(json_object_get(parameters, "interface"));
	const char *description = NULL;

	if (unknown || !interface) {
		varlink_call_invalid_parameter(call, unknown ? unknown : "interface");
		return;
	}
	if (strcmp(interface, service->config.interface) == 0)
		description = service->config.description;
	else if (strcmp(interface, VARLINK_SERVICE_INTERFACE) == 0)
		description = SERVICE_DESCRIPTION;
	if (description)
		varlink_call_reply(call, json_pack("{s:s}", "description", description));
	else
		varlink_call_error_with(call, VARLINK_SERVICE_INTERFACE ".InterfaceNotFound",
					"interface", interface);
}

void varlink_introspection_handle(struct varlink_service *service, struct varlink_call *call,
				  const char *method, json_t *parameters)
{
	const char *name = strrchr(method, '.') + 1;
	if (strcmp(name, "GetInfo") == 0)
		get_info(service, call, parameters);
	else if (strcmp(name, "GetInterfaceDescription") == 0)
		get_interface_description(service, call, parameters);
	else
		varlink_call_error_with(call, VARLINK_SERVICE_INTERFACE ".MethodNotFound", "method",
					method);
}
