#include "interp/argument.h"

struct argument argument_of_tensor(struct arena *arena, const struct tensor *tensor) {
    return (struct argument){.kind = argument_tensor, .tensor = arena_copy(arena, tensor, sizeof *tensor)};
}

struct argument argument_of_list(struct arena *arena, size_t count) {
    return (struct argument){.kind = argument_list, .list = {arena_array(arena, struct argument, count), count}};
}

const char *argument_kind_name(enum argument_kind kind) {
    static const char *const names[] = {"None",     "a bool", "an integer", "a float", "a string", "an element type",
                                        "a tensor", "a list", "an object"};
    return names[kind];
}
