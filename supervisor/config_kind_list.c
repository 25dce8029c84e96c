#include <limits.h>
#include <string.h>

#include "supervisor/config_kind.h"
#include "supervisor/config_value.h"
#include "supervisor/config_words.h"

static char ***words_field(const struct config_directive *directive, void *object)
{
	return (char ***)(void *)((char *)object + directive->offset);
}

static char *const *const_words_field(const struct config_directive *directive, const void *object)
{
	return *(char *const *const *)(const void *)((const char *)object + directive->offset);
}

static int command_apply(const struct config_directive *directive, void *object, const char *value,
			 struct error *error)
{
	CLEANUP(words_freep) char **words = NULL;
	int r = words_split(value, WORDS_COMMAND, &words, error);
	if (r < 0)
		return r;
	if (!words[0] || !words[0][0])
		return error_set(error, -EINVAL, "the program's name is empty");
	char ***field = words_field(directive, object);
	words_free(*field);
	*field = TAKE_PTR(words);
	return 0;
}

static void command_print(const struct config_directive *directive, const void *object, FILE *out)
{
	char *const *words = const_words_field(directive, object);
	fprintf(out, "%s=", directive->key);
	for (size_t i = 0; words && words[i]; i++) {
		if (i > 0)
			fputc(' ', out);
		words_print(words[i], WORDS_COMMAND, i == 0, out);
	}
	fputc('\n', out);
}

const struct config_kind kind_command = { command_apply, command_print, false };

/* Splits @value and appends the words, each of which @check must take. */
static int words_apply(const struct config_directive *directive, void *object, const char *value,
		       int (*check)(const char *word, struct error *error), struct error *error)
{
	CLEANUP(words_freep) char **words = NULL;
	int r = words_split(value, WORDS_PLAIN, &words, error);
	for (size_t i = 0; r == 0 && words[i]; i++)
		r = check(words[i], error);
	if (r == 0)
		r = words_append(words_field(directive, object), words);
	if (r == 0)
		words = NULL;
	return r;
}

/* A line a word: that is easier to compare than one long line. */
static void words_print_lines(const struct config_directive *directive, const void *object,
			      FILE *out)
{
	char *const *words = const_words_field(directive, object);
	if (!words || !words[0])
		fprintf(out, "%s=\n", directive->key);
	for (; words && *words; words++) {
		fprintf(out, "%s=", directive->key);
		words_print(*words, WORDS_PLAIN, false, out);
		fputc('\n', out);
	}
}

static int environment_apply(const struct config_directive *directive, void *object,
			     const char *value, struct error *error)
{
	return words_apply(directive, object, value, value_check_assignment, error);
}

const struct config_kind kind_environment = { environment_apply, words_print_lines, false };

static int accounts_apply(const struct config_directive *directive, void *object, const char *value,
			  struct error *error)
{
	return words_apply(directive, object, value, value_check_account, error);
}

const struct config_kind kind_accounts = { accounts_apply, words_print_lines, false };

int kind_environment_file_path(const char *value, char **ret_path, bool *ret_may_be_missing,
			       struct error *error)
{
	CLEANUP(freep) char *path = NULL;
	bool may_be_missing = value[0] == '-';
	int r = percent_expand(value + may_be_missing, &path, error);
	if (r < 0)
		return r;
	if (path[0] != '/')
		return error_set(error, -EINVAL, "not an absolute path");
	if (strlen(path) >= PATH_MAX)
		return error_set(error, -EINVAL, "too long");
	*ret_path = TAKE_PTR(path);
	*ret_may_be_missing = may_be_missing;
	return 0;
}

static int environment_file_apply(const struct config_directive *directive, void *object,
				  const char *value, struct error *error)
{
	CLEANUP(freep) char *path = NULL;
	bool may_be_missing;
	(void)directive, (void)object;
	return kind_environment_file_path(value, &path, &may_be_missing, error);
}

/* What the files said is part of the environment, and printed there. */
static void environment_file_print(const struct config_directive *directive, const void *object,
				   FILE *out)
{
	(void)object;
	fprintf(out, "# what such files said is in Environment=\n%s=\n", directive->key);
}

const struct config_kind kind_environment_file = { environment_file_apply, environment_file_print,
						   false };

static int addresses_apply(const struct config_directive *directive, void *object,
			   const char *value, struct error *error)
{
	struct config_listener *listener = object;
	CLEANUP(freep) char *text = NULL;
	struct address address;
	(void)directive;
	int r = percent_expand(value, &text, error);
	if (r == 0)
		r = address_parse(text, &address, error);
	if (r < 0)
		return r;
	if (listener->n_addresses == CONFIG_ADDRESSES_MAX)
		return error_set(error, -EINVAL, "more than %d addresses of one listener",
				 CONFIG_ADDRESSES_MAX);
	struct address *larger = reallocarray(listener->addresses, listener->n_addresses + 1,
					      sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	listener->addresses = larger;
	listener->addresses[listener->n_addresses++] = address;
	return 0;
}

static void addresses_print(const struct config_directive *directive, const void *object, FILE *out)
{
	const struct config_listener *listener = object;
	char text[ADDRESS_TEXT_MAX];
	for (size_t i = 0; i < listener->n_addresses; i++) {
		fprintf(out, "%s=", directive->key);
		percent_print(address_format(&listener->addresses[i], text), out);
		fputc('\n', out);
	}
}

const struct config_kind kind_addresses = { addresses_apply, addresses_print, true };
