/* Errors as compilers print them: `FILE:LINE:COLUMN: error: ...`, the source line, a caret, notes. */
#ifndef REGRAFT_BASE_DIAGNOSTICS_H
#define REGRAFT_BASE_DIAGNOSTICS_H

#include "base/text.h"

/* A text that was read, with the name that messages give it. */
struct source {
    const char *name;
    struct text contents;
};

/* A stretch of a source; `source` is NULL when there is no place to point at. */
struct position {
    const struct source *source;
    size_t offset, length;
};

/* Where a piece of its text stands. */
static inline struct position source_position(const struct source *source, struct text piece) {
    return (struct position){source, (size_t)(piece.data - source->contents.data), piece.length};
}

/* What went wrong since the last call into the library; one per context. */
struct diagnostics {
    struct arena *arena;
    const char *message; /* "" at first */
};

void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena);
void diagnostics_clear(struct diagnostics *diagnostics);

/* Records an error and returns `status`, so that callers can write `return fail(...)`. Only the first error since
 * diagnostics_clear is kept. The text says what was found, what was expected and what to do. */
regraft_status fail(struct diagnostics *diagnostics, regraft_status status, struct position position,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds a note to the error just recorded. */
void fail_note(struct diagnostics *diagnostics, struct position position, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The line and column (both from 1; columns count bytes) of an offset. */
void source_locate(const struct source *source, size_t offset, size_t *line, size_t *column);

/* Leaves the function with the status of `expression` unless that is REGRAFT_OK. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        regraft_status try_status = (expression);                                                                      \
        if (try_status != REGRAFT_OK) return try_status;                                                               \
    } while (0)

#endif
