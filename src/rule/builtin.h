/* The texts of rules/, made by cmake/rules.cmake. */
#ifndef REGRAFT_RULE_BUILTIN_H
#define REGRAFT_RULE_BUILTIN_H

#include <stddef.h>

struct builtin_rule_file {
    const char *name; /* "rules/rope_cache.rule"; NULL after the last */
    const unsigned char *bytes;
    size_t length;
};
extern const struct builtin_rule_file builtin_rule_files[];
extern const struct builtin_rule_file builtin_definitions; /* what fused operations mean */
extern const struct builtin_rule_file builtin_meanings;    /* what raised operations mean, to the bit */
extern const struct builtin_rule_file builtin_roundings;   /* and but for rounding */

#endif
