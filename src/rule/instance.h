/* Instances of a rule: graphs that have what it matches, made up at random. The proof of rules runs on them
 * (tests/unit/rule_test.c). */
#ifndef REGRAFT_RULE_INSTANCE_H
#define REGRAFT_RULE_INSTANCE_H

#include "rule/rule.h"

/* Everything is drawn from `seed`: sizes, element types, strides, constants, which of several alternatives, who else reads a
 * result. Most instances are legal; each kind of condition is broken now and then. The graph returns what the rule
 * replaces. */
regraft_status rule_instance(struct context *context, const struct rule *rule, uint64_t seed, struct graph **graph);

#endif
