/* Binding of a graph's placeholders and symbols. */
#ifndef REGRAFT_INTERP_PLACEHOLDERS_H
#define REGRAFT_INTERP_PLACEHOLDERS_H

#include "interp/run.h"

/* Gives every symbol a value, and every placeholder a copy of its tensor, laid out as annotated. */
regraft_status placeholders_bind(struct run *run);
/* Gives the symbol that `expression` consists of a value if it has none; false when `expression` then has another
 * value. An expression with other symbols that have no value counts as equal. */
bool run_bind_symbol(struct run *run, symint expression, int64_t value);

#endif
