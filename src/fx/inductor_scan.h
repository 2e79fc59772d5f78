/* Pieces of program text (Python, C++): lines, literals, brackets, lists of arguments. For the files inductor_*.c. */
#ifndef REGRAFT_FX_INDUCTOR_SCAN_H
#define REGRAFT_FX_INDUCTOR_SCAN_H

#include "base/text.h"
#include "base/vector.h"

struct text_list {
    struct text *items;
    size_t count, capacity;
};

struct text scan_trim(struct text text);
/* The part from `start` to before `end`. */
static inline struct text text_between(struct text text, size_t start, size_t end) {
    return (struct text){text.data + start, end - start};
}
bool text_ends_with(struct text text, const char *suffix);
/* Where `word` starts first in the text, or SIZE_MAX. */
size_t text_find(struct text text, const char *word);
/* Whether the name stands in the text as a word of its own. */
bool text_mentions(struct text text, struct text name);

/* Takes the first line off `rest`; false when nothing is left. The line comes without its line break. */
bool scan_line(struct text *rest, struct text *line);
/* A line, and the few after it that close its brackets; the line alone when they do not. */
bool scan_statement(struct text *rest, struct text *statement);
/* The identifier that the text starts with, or "". */
struct text scan_name(struct text text);
/* The index behind the literal whose quote stands at `at`, also of three quotes; text.length when it does not end. */
size_t scan_string(struct text text, size_t at);
/* The index of the bracket that closes the one at `at`, or SIZE_MAX. */
size_t scan_close(struct text text, size_t at);
/* The index of the first such byte outside of literals and brackets, or SIZE_MAX. */
size_t scan_find(struct text text, char byte);
/* The parts between such bytes outside of literals and brackets, trimmed; no empty last part. */
struct text_list scan_split(struct arena *arena, struct text text, char separator);
/* `=` as an assignment, outside of brackets: its index, or SIZE_MAX. */
size_t scan_assignment(struct text text);

#endif
