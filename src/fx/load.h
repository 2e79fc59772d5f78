/* From bytes to a text: files, gzip, and what terminals and loggers put around a graph. */
#ifndef REGRAFT_FX_LOAD_H
#define REGRAFT_FX_LOAD_H

#include "ir/context.h"

/* The bytes of a file, "-" is standard input. */
regraft_status load_file(struct context *context, const char *path, struct text *bytes);
/* Undoes gzip where it is; `source` has the name and gets the contents. */
regraft_status load_inflate(struct context *context, struct text bytes, struct source *source);

/* `[rank0]:V0909 19:04:24.654000 712449 torch/fx/graph.py:2185] `: its length, 0 when the line does not start so. */
size_t log_prefix(struct text line);
/* Without byte order mark, carriage returns, colours and log prefixes; line breaks stay where they were, so line numbers
 * do. A text that has none of these is returned as it is. */
struct text load_clean(struct arena *arena, struct text text);

#endif
