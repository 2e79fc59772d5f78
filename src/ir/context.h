/* One compilation: the arena, the symbols, the operations, the last error. */
#ifndef REGRAFT_IR_CONTEXT_H
#define REGRAFT_IR_CONTEXT_H

#include "ir/operation.h"

struct rules; /* rule/rule.h */

struct context {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct symbols *symbols;
    struct operations *operations;
    struct rules *rules; /* rules_of's; NULL before it is first asked for */
};

#endif
