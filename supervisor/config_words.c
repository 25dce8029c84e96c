#include "supervisor/config_words.h"

#include <ctype.h>
#include <string.h>

#include "supervisor/config_file.h"

static const char BLANKS[] = " \t\r\n";
/* What each letter after a backslash stands for. */
static const char ESCAPES[] = "a\ab\bf\fn\nr\rt\tv\vs \\\\\"\"''";

static size_t unicode_encode(uint32_t code, char out[static 4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t n_more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
	static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };
	out[0] = (char)(first[n_more] | (code >> (6 * n_more)));
	for (size_t i = 1; i <= n_more; i++)
		out[i] = (char)(0x80 | ((code >> (6 * (n_more - i))) & 0x3f));
	return n_more + 1;
}

static int bad_escape(const char *backslash, struct error *error)
{
	return error_set(error, -EINVAL,
			 "no escape begins with \"\\%.*s\"; \\\\ stands for a backslash",
			 (int)strnlen(backslash + 1, 1), backslash + 1);
}

/* \xHH, \OOO, \uXXXX, \UXXXXXXXX */
static int numeric_escape(const char **text, char **out, struct error *error)
{
	static const struct {
		char letter;
		size_t skip, digits;
		int base;
	} forms[] = { { 'x', 2, 2, 16 }, { 'u', 2, 4, 16 }, { 'U', 2, 8, 16 }, { 0, 1, 3, 8 } };
	const char *backslash = *text;
	size_t form = 0;
	while (forms[form].letter && forms[form].letter != backslash[1])
		form++;
	const char *allowed = forms[form].base == 8 ? "01234567" : "0123456789abcdefABCDEF";
	const char *digits = backslash + forms[form].skip;
	if (strspn(digits, allowed) < forms[form].digits) {
		if (forms[form].letter)
			return error_set(error, -EINVAL, "\\%c needs %zu hexadecimal digits",
					 forms[form].letter, forms[form].digits);
		return bad_escape(backslash, error);
	}
	char copy[9] = "";
	memcpy(copy, digits, forms[form].digits);
	unsigned long code = strtoul(copy, NULL, forms[form].base);
	bool is_byte = forms[form].digits < 4;
	bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
	if (code == 0 || code > (is_byte ? 0xffUL : 0x10ffffUL) || is_surrogate)
		return error_set(error, -EINVAL, "%.*s stands for no character",
				 (int)(forms[form].skip + forms[form].digits), backslash);
	if (is_byte)
		*(*out)++ = (char)code;
	else
		*out += unicode_encode((uint32_t)code, *out);
	*text = digits + forms[form].digits;
	return 0;
}

static int escape(const char **text, char **out, struct error *error)
{
	char letter = (*text)[1];
	if (letter == '\0')
		return error_set(error, -EINVAL, "a backslash at the end");
	for (size_t i = 0; ESCAPES[i]; i += 2) {
		if (ESCAPES[i] != letter)
			continue;
		*(*out)++ = ESCAPES[i + 1];
		*text += 2;
		return 0;
	}
	return numeric_escape(text, out, error);
}

/* Takes quotes and escapes off the word at *text; @out has room, for no escape grows. */
static int word_unquote(const char **text, char *out, struct error *error)
{
	char quote = '\0';
	for (;;) {
		char c = **text;
		if (c == '\0' && quote)
			return error_set(error, -EINVAL, "a quote (%c) is not closed", quote);
		if (!quote && (c == '\0' || strchr(BLANKS, c)))
			break;
		if (c == '\\') {
			int r = escape(text, &out, error);
			if (r < 0)
				return r;
			continue;
		}
		(*text)++;
		if (c == quote)
			quote = '\0';
		else if (!quote && (c == '"' || c == '\''))
			quote = c;
		else
			*out++ = c;
	}
	*out = '\0';
	return 0;
}

static int percent_reduce(char *text, struct error *error)
{
	char *out = text;
	for (; *text; text++) {
		if (*text == '%' && *++text != '%')
			return error_set(error, -EINVAL,
					 "\"%%%.*s\": there are no specifiers here; "
					 "%%%% stands for a percent sign",
					 (int)strnlen(text, 1), text);
		*out++ = *text;
	}
	*out = '\0';
	return 0;
}

static bool is_name(const char *text, size_t length)
{
	if (length == 0 || isdigit((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '_')
			return false;
	return true;
}

static int dollar_reduce(char *word, struct error *error)
{
	const char *text = word;
	char *out = word;
	if (text[0] == '$' && is_name(text + 1, strlen(text + 1)))
		return error_set(error, -EINVAL,
				 "%s: variables are not expanded here; $$ stands for a dollar "
				 "sign, and /bin/sh -c '…' expands",
				 word);
	for (; *text; text++) {
		if (text[0] == '$' && text[1] == '$') {
			text++;
		} else if (text[0] == '$' && text[1] == '{') {
			size_t length = strcspn(text, "}");
			if (text[length] && is_name(text + 2, length - 2))
				return error_set(error, -EINVAL,
						 "%.*s}: variables are not expanded here; $$ "
						 "stands for a dollar sign, and /bin/sh -c '…' "
						 "expands",
						 (int)length, text);
		}
		*out++ = *text;
	}
	*out = '\0';
	return 0;
}

static int check_command_word(const char *text, bool first, struct error *error)
{
	if (first && *text && strchr("-@+!:|", *text))
		return error_set(error, -EINVAL,
				 "the prefix \"%c\" is not supported; quote it if it belongs to "
				 "the name",
				 *text);
	if (text[0] == ';' && (!text[1] || strchr(BLANKS, text[1])))
		return error_set(error, -EINVAL,
				 "only one command can be given; quote \";\" to pass it on");
	return 0;
}

/* Reads the word at *text into @word, which has room for all of *text. */
static int next_word(const char **text, enum words_syntax syntax, bool first, char *word,
		     struct error *error)
{
	int r = 0;
	if (syntax == WORDS_COMMAND)
		r = check_command_word(*text, first, error);
	if (r < 0)
		return r;
	/* systemd knows "\;" in commands only. */
	bool semicolon = syntax == WORDS_COMMAND && strncmp(*text, "\\;", 2) == 0 &&
			 (!(*text)[2] || strchr(BLANKS, (*text)[2]));
	if (semicolon) {
		strcpy(word, ";");
		*text += 2;
		return 0;
	}
	r = word_unquote(text, word, error);
	if (r == 0)
		r = percent_reduce(word, error);
	if (r == 0 && syntax == WORDS_COMMAND)
		r = dollar_reduce(word, error);
	return r;
}

int words_push(char ***words, size_t n_words, const char *word)
{
	char **larger = reallocarray(*words, n_words + 2, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	*words = larger;
	larger[n_words] = strdup(word);
	larger[n_words + 1] = NULL;
	return larger[n_words] ? 0 : -ENOMEM;
}

int words_split(const char *text, enum words_syntax syntax, char ***ret_words, struct error *error)
{
	CLEANUP(words_freep) char **words = calloc(1, sizeof(*words));
	CLEANUP(freep) char *word = malloc(strlen(text) + 1);
	if (!words || !word)
		return -ENOMEM;
	for (size_t n_words = 0;; n_words++) {
		text += strspn(text, BLANKS);
		if (!*text)
			break;
		int r = next_word(&text, syntax, n_words == 0, word, error);
		if (r == 0)
			r = words_push(&words, n_words, word);
		if (r < 0)
			return r;
	}
	*ret_words = TAKE_PTR(words);
	return 0;
}

static size_t words_count(char **words)
{
	size_t n = 0;
	while (words && words[n])
		n++;
	return n;
}

int words_append(char ***words, char **more)
{
	size_t n_words = words_count(*words), n_more = words_count(more);
	char **larger = reallocarray(*words, n_words + n_more + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	memcpy(larger + n_words, more, n_more * sizeof(*more));
	larger[n_words + n_more] = NULL;
	*words = larger;
	free(more);
	return 0;
}

void words_free(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

static bool is_plain(const char *word)
{
	for (const char *c = word; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_-+=:,./@%$", *c))
			return false;
	return *word != '\0';
}

static void print_byte(char c, bool raw, FILE *out)
{
	unsigned char byte = (unsigned char)c;
	if (c == '"' || c == '\\')
		fprintf(out, "\\%c", c);
	else if (c == '\n')
		fputs("\\n", out);
	else if (byte < ' ' || byte == 0x7f || (byte >= 0x80 && !raw))
		fprintf(out, "\\x%02x", byte);
	else
		fputc(c, out);
}

void words_print(const char *word, enum words_syntax syntax, bool first, FILE *out)
{
	bool command = syntax == WORDS_COMMAND;
	bool is_utf8 = utf8_prefix(word, strlen(word)) == strlen(word);
	bool quoted = !is_plain(word) || (command && first && strchr("-@+!:|", word[0]));
	if (quoted)
		fputc('"', out);
	for (; *word; word++) {
		if (*word == '%' || (*word == '$' && command))
			fputc(*word, out);
		print_byte(*word, is_utf8, out);
	}
	if (quoted)
		fputc('"', out);
}

int percent_expand(const char *text, char **ret_text, struct error *error)
{
	CLEANUP(freep) char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	int r = percent_reduce(copy, error);
	if (r < 0)
		return r;
	*ret_text = TAKE_PTR(copy);
	return 0;
}

void percent_print(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '%')
			fputc('%', out);
		fputc(*text, out);
	}
}
