/* One compilation: the arena, the symbols, the operations, the last error. */
#ifndef REGRAFT_IR_CONTEXT_H
#define REGRAFT_IR_CONTEXT_H

#include "ir/operation.h"

/* What strides an operation is owed for an argument, as the engine that runs the graph has it. */
struct contract {
    struct text operation, argument; /* "vllm.unified_mla_attention_with_output.default", "k_pe" */
};

struct rules; /* rule/rule.h */

struct context {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct symbols *symbols;
    struct operations *operations;
    VECTOR(struct contract) contracts;
    struct rules *rules; /* rules_of's; NULL before it is first asked for */
};

#endif
