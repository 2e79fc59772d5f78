/* The row functions in plain C. */
#include "cpu/form.h"

#define FORM form_portable
#include "cpu/vector_portable.h"
#include "cpu/rows_body.h"
