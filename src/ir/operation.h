/* Operations: PyTorch's schema of each, and what regraft knows beyond it. The table is ir/operations.def. */
#ifndef REGRAFT_IR_OPERATION_H
#define REGRAFT_IR_OPERATION_H

#include <stdint.h>

#include "base/map.h"
#include "base/vector.h"
#include "ir/type.h"

/* What an operation does to memory. */
enum operation_class {
    class_opaque,   /* in no table: may read and write anything that it is given; never removed, duplicated or moved */
    class_view,     /* the result is another window onto the argument's buffer */
    class_update,   /* the result is the first argument with one place replaced by another argument */
    class_compute,  /* a fresh result from the arguments' values */
    class_allocate, /* a fresh result whose contents nobody may rely on */
    class_call,     /* writes arguments, as its schema says */
    class_state,    /* reads or writes state outside the graph (the cache of a layer) */
    class_higher,   /* calls another operation: auto_functionalized */
    class_assert    /* only checks; kept in place */
};

enum state_effect {
    effect_none,
    effect_reads_state,
    effect_writes_state,
    effect_random /* draws random numbers, unless its argument dropout_p is 0 */
};

enum schema_type {
    schema_tensor,
    schema_integer, /* int, SymInt */
    schema_float,
    schema_bool,
    schema_string,
    schema_scalar,
    schema_dtype,
    schema_layout,
    schema_device,
    schema_memory_format,
    schema_other
};

/* The strides that an operation accepts for an argument. */
enum contract_kind {
    contract_any,
    contract_last_dim_dense, /* the elements of the last dimension lie one behind the other */
    contract_contiguous,     /* row-major, without gaps */
    contract_as_traced       /* exactly those that it was traced with */
};

/* What an operation, or one call, is owed for an argument. */
struct contract {
    enum contract_kind kind;
    bool stated;          /* by the table or the user: contract_any then means any, not that nobody knows */
    bool elsewhere;       /* of an argument that it writes: the new contents may go to other memory (out_form) */
    const symint *traced; /* the strides of contract_as_traced; NULL: nothing tells them */
    size_t traced_rank;
};

struct schema_argument {
    struct text name;
    enum schema_type type;
    bool list;          /* T[] */
    bool optional;      /* T? */
    bool optional_item; /* T?[] */
    bool keyword_only;
    bool written;     /* (a!) or !: the call writes it */
    bool overwritten; /* all of it, and reads nothing of it: ir/contracts.def */
    char alias;       /* the letter of its alias set, or 0 */
    bool has_default;
    struct text default_text; /* as in the schema */
    struct contract contract; /* not of PyTorch's schema: ir/contracts.def, and what contract_add says */
};

struct schema {
    struct text text;                            /* the whole schema */
    struct text name;                            /* "aten::slice" */
    struct text overload;                        /* "Tensor", "" for the default one */
    struct schema_argument *arguments, *returns; /* of a return only type, list, written, alias count */
    size_t argument_count, return_count;
};

/* Every row of the table, by name: operation_aten_slice_Tensor, ... */
enum operation_id {
    operation_unknown, /* not in the built-in table: opaque, or added by --ops */
#define OPERATION(id, ...) operation_##id,
#include "ir/operations.def"
#undef OPERATION
    operation_id_count
};

struct inference; /* ir/infer.h */

struct operation {
    enum operation_id id;
    struct schema schema;
    enum operation_class class;
    enum state_effect effect;
    struct text target;      /* as in text: "aten.slice.Tensor"; "vllm.unified_kv_cache_update.default" */
    const char *copied;      /* why what it writes must be a copy; NULL: it need not */
    const char *unavailable; /* why no rule may put a call of it into a graph; NULL: it may */
    /* The operation that computes the same, but reads an argument X that this one writes and puts what this one would leave
     * in X into its argument X_out, all of it; X_out may be X. An out form is its own. NULL: there is none. */
    const struct operation *out_form;
    /* The types of the results, or NULL when only annotations tell. */
    regraft_status (*infer)(struct inference *inference);
};

static inline bool operation_is_out_form(const struct operation *operation) {
    return operation->out_form && operation->out_form->id == operation->id;
}

/* Whether it writes an argument. */
bool operation_writes(const struct operation *operation);

struct operations;
/* All built-in rows. Schemas in the table are ours: a malformed one is an internal error. */
regraft_status operations_create(struct arena *arena, struct diagnostics *diagnostics, struct operations **result);
/* Adds rows from text, a schema a line; `#` starts a comment. An existing row of the same name is replaced. */
regraft_status operations_add(struct operations *operations, struct diagnostics *diagnostics,
                              const struct source *source);
/* One row from the schema of a live registry. What the table knows about the operation stays when the schemas agree, but for
 * further arguments with defaults; otherwise the schema alone holds, and unless `stateless` the operation may read and
 * write state that nobody sees. */
regraft_status operations_declare(struct operations *operations, struct diagnostics *diagnostics,
                                  const struct source *source, bool stateless);
/* Functionalised calls of the operation keep writing to copies, with the strides that they were given, because of `why`: its
 * kernel touches more than its schema says. False when there is no such operation. */
bool operations_keep_copies(struct operations *operations, struct text target, const char *why);
/* No rule puts a call of the operation into a graph, because of `why`: it is not registered, or its kernel is not made for what
 * is there. False when there is no such operation. */
bool operations_set_unavailable(struct operations *operations, struct text target, const char *why);
/* The operation of the namespace regraft with the same name and schema, which may be called in its place; NULL: there is none. */
const struct operation *operations_stand_in(const struct operations *operations, const struct operation *operation);
/* What a rule that calls the operation may call: the operation, where that is not available what stands in for it, NULL when
 * that is not available either. */
const struct operation *operations_available(const struct operations *operations, const struct operation *operation);
/* By the name in graphs ("aten.slice.Tensor"); NULL when there is none. A missing overload stands for "default". */
const struct operation *operations_find(const struct operations *operations, struct text target);
const struct operation *operations_by_id(const struct operations *operations, enum operation_id id);
/* In the order of the table; NULL after the last. */
const struct operation *operations_row(const struct operations *operations, size_t index);

const char *operation_class_name(enum operation_class class);
/* The index of an argument by name, or SIZE_MAX. */
size_t schema_find_argument(const struct schema *schema, struct text name);
regraft_status schema_parse(struct arena *arena, struct diagnostics *diagnostics, const struct source *source,
                            struct text text, struct schema *schema);

#endif
