/* The copies that Inductor really made in a compilation, from its output code: which generated kernels only move data,
 * how many bytes, for which call of the graph, and whether our analysis finds that the copy was needed. */
#ifndef REGRAFT_PLAN_AUDIT_H
#define REGRAFT_PLAN_AUDIT_H

#include "fx/fx.h"
#include "fx/inductor_code.h"

enum audit_need { audit_unknown, audit_not_needed, audit_needed };

/* A call that reads what a kernel wrote. */
struct audit_reader {
    struct text target;   /* as in the output code: torch.ops._C.rotary_embedding.default, or the name of a kernel */
    struct text argument; /* its name in the schema; "" when that is not known */
    const struct operation *operation; /* NULL: in no table */
    bool writes;                       /* the call writes that argument */
    struct node *functional;           /* in the functional graph; NULL when it cannot be told which node it is */
    struct node *lowered;              /* in the graph behind Inductor's own passes, which is what became code */
};

/* One launch of a kernel that only moves data. */
struct audit_copy {
    const struct inductor_kernel *kernel;
    size_t launch;        /* the how manieth of all launches, from 0 */
    symint read, written; /* bytes, an element read for each one stored that is no constant; NULL: not known */
    VECTOR(struct audit_reader) readers; /* the first one of each buffer that is written */
    struct text_list nodes;   /* updates and clones of the functional graph that the copy stands for; without any, the
                                 calls that it was made for */
    bool updates;             /* whether they are updates and clones */
    struct text_list lowered; /* updates and clones of the lowered graph */
    struct text_list sources; /* "models/defs.py:321" */
    enum audit_need needed;   /* by our placing */
    const char *why, *remedy; /* the remedy: what would make it unnecessary; "" when it is, or when nobody knows */
};

struct audit {
    struct context *context;
    struct inductor_code code;
    struct graph *functional, *lowered, *dynamo; /* stages; NULL when the log has none that can be read */
    size_t kernels[kernel_kind_count], launches[kernel_kind_count];
    size_t stores[kernel_kind_count];  /* of all launches: a kernel that computes may also copy a buffer beside that */
    size_t calls, allocations, reuses; /* calls: of what is not generated */
    VECTOR(struct audit_copy) copies;
    struct audit_placing *placing; /* audit_decide.h */
    symint bytes;                  /* all that the copies read and write; NULL when one is not known */
};

/* Whether graph `index` of the file has output code. */
const struct stage *audit_stage(const struct file *file, size_t index);
/* REGRAFT_REJECTED when it has none. */
regraft_status audit_run(struct context *context, struct file *file, size_t index, struct audit *audit);

#endif
