/*
 * A table for a screen: cells are added row by row, then printed with every column as wide as its
 * widest cell. Owner: whoever shows it, for the length of one function. Running out of memory is
 * remembered and told by table_print(), so that adding cells needs no checks.
 */
#ifndef HANDOVER_SUPERVISOR_CTL_TABLE_H
#define HANDOVER_SUPERVISOR_CTL_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "proto/base.h"

struct table_column {
	const char *heading;
	bool right; /* numbers */
};

struct table {
	const struct table_column *columns; /* borrowed */
	size_t n_columns;
	char **cells; /* row after row */
	size_t n_cells;
	bool failed;
};

void table_init(struct table *table, const struct table_column *columns, size_t n_columns);
void table_finish(struct table *table);

/* The next cell. */
void table_add(struct table *table, const char *format, ...) PRINTF(2, 3);

/* Headings and rows, two blanks between columns, none after the last; cells go through
 * text_print(). Returns 0 or -ENOMEM. */
int table_print(const struct table *table, FILE *out);

#endif
