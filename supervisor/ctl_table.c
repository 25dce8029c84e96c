#include "supervisor/ctl_table.h"

#include <stdarg.h>
#include <stdint.h>

#include "supervisor/ctl_text.h"

void table_init(struct table *table, const struct table_column *columns, size_t n_columns)
{
	*table = (struct table){ .columns = columns, .n_columns = n_columns };
}

void table_finish(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	table_init(table, table->columns, table->n_columns);
}

void table_add(struct table *table, const char *format, ...)
{
	char **cells = reallocarray(table->cells, table->n_cells + 1, sizeof(*cells));
	if (!cells) {
		table->failed = true;
		return;
	}
	table->cells = cells;

	char *cell;
	va_list arguments;
	va_start(arguments, format);
	int length = vasprintf(&cell, format, arguments);
	va_end(arguments);
	if (length < 0) {
		table->failed = true;
		return;
	}
	table->cells[table->n_cells++] = cell;
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = text_width(table->columns[column].heading);
	for (size_t i = column; i < table->n_cells; i += table->n_columns) {
		size_t cell = text_width(table->cells[i]);
		width = cell > width ? cell : width;
	}
	return width;
}

static void print_cell(const struct table *table, size_t column, const char *text, size_t width,
		       FILE *out)
{
	bool last = column + 1 == table->n_columns, right = table->columns[column].right;
	int padding = (int)(width - text_width(text));

	if (right)
		(void)fprintf(out, "%*s", padding, "");
	(void)text_print(out, text, SIZE_MAX);
	if (!last)
		(void)fprintf(out, "%*s", right ? 2 : padding + 2, "");
	else
		(void)fputc('\n', out);
}

int table_print(const struct table *table, FILE *out)
{
	if (table->failed)
		return -ENOMEM;
	size_t *widths = calloc(table->n_columns, sizeof(*widths));
	if (!widths)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = column_width(table, i);

	for (size_t i = 0; i < table->n_columns; i++)
		print_cell(table, i, table->columns[i].heading, widths[i], out);
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns;
		print_cell(table, column, table->cells[i], widths[column], out);
	}
	free(widths);
	return 0;
}
