/* Runtime values: the results of nodes and the arguments of kernels. */
#ifndef REGRAFT_INTERP_ARGUMENT_H
#define REGRAFT_INTERP_ARGUMENT_H

#include "interp/tensor.h"

enum argument_kind {
    argument_none, /* Python's None, or left out */
    argument_boolean,
    argument_integer,
    argument_real,
    argument_text, /* a string, or the name of an object: a layer, an attribute */
    argument_dtype,
    argument_tensor,
    argument_list,
    argument_opaque /* a device, a layout, ...: nothing that a value depends on */
};

struct argument {
    enum argument_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct text text;
        enum dtype dtype;
        struct tensor *tensor;
        struct {
            struct argument *items;
            size_t count;
        } list;
    };
};

struct argument argument_of_tensor(struct arena *arena, const struct tensor *tensor);
struct argument argument_of_list(struct arena *arena, size_t count); /* of None */
static inline struct argument argument_of_integer(int64_t integer) {
    return (struct argument){.kind = argument_integer, .integer = integer};
}
const char *argument_kind_name(enum argument_kind kind);

#endif
