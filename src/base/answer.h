/* Answers of an exact model that may not be able to decide. Unknown is always treated as the unsafe one. */
#ifndef REGRAFT_BASE_ANSWER_H
#define REGRAFT_BASE_ANSWER_H

#include <stdbool.h>

enum answer { answer_no, answer_yes, answer_unknown };

static inline enum answer answer_of(bool value) { return value ? answer_yes : answer_no; }

static inline enum answer answer_not(enum answer answer) {
    return answer == answer_unknown ? answer_unknown : answer_of(answer == answer_no);
}

static inline enum answer answer_and(enum answer a, enum answer b) {
    if (a == answer_no || b == answer_no) return answer_no;
    return answer_of(true) == a && b == answer_yes ? answer_yes : answer_unknown;
}

static inline enum answer answer_or(enum answer a, enum answer b) {
    return answer_not(answer_and(answer_not(a), answer_not(b)));
}

#endif
