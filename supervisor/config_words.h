/*
 * Quoting as in systemd.syntax(7) and systemd.service(5), read and written. Pure.
 *
 *   a word         ends at a blank outside of quotes
 *   "…" '…'        keep blanks; the quotes go; both may stand within a word
 *   \              C escapes, in quotes too: \a \b \f \n \r \t \v \s \\ \" \' \xHH \OOO \uXXXX
 *                  \UXXXXXXXX
 *   %%             a percent sign; handover has no specifiers, so that any other % is refused
 *   $$             in a command: a dollar sign. What systemd would expand, ${NAME} anywhere and
 *                  $NAME as a word of its own, is refused; any other $ stands for itself, as there
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_WORDS_H
#define HANDOVER_SUPERVISOR_CONFIG_WORDS_H

#include <stdbool.h>
#include <stdio.h>

#include "proto/error.h"

enum words_syntax { WORDS_PLAIN, WORDS_COMMAND };

/* Splits @text. *ret_words is NULL-terminated, freed by words_free(). Returns 0; -EINVAL with what
 * is wrong; -ENOMEM. A command besides has no prefix of systemd's (-, @, +, !, :, |), and no `;`
 * as a word of its own, unless they are quoted. */
int words_split(const char *text, enum words_syntax syntax, char ***ret_words, struct error *error);

/* Appends a copy of @word to the list of @n_words. Returns 0 or -ENOMEM (the list stays good). */
int words_push(char ***words, size_t n_words, const char *word);

/* Appends the words of @more, taken over, to the list at *words (which may be NULL). On -ENOMEM
 * both are as they were. */
int words_append(char ***words, char **more);

void words_free(char **words);
static inline void words_freep(char ***words)
{
	words_free(*words);
}

/* Writes one word so that words_split() reads it back; any bytes. @first: of a command. */
void words_print(const char *word, enum words_syntax syntax, bool first, FILE *out);

/* A value that is no list of words: only %% is special. */
int percent_expand(const char *text, char **ret_text, struct error *error);
void percent_print(const char *text, FILE *out);

#endif
