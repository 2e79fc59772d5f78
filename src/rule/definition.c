#include "rule/definition.h"

#include "fx/fx.h"
#include "ir/effect.h"
#include "rule/builtin.h"

struct definitions {
    struct context *context;
    struct file *file;
    struct map *graphs; /* operation -> graph */
};

regraft_status definitions_open(struct context *context, struct definitions **definitions) {
    *definitions = arena_new(context->arena, struct definitions);
    (*definitions)->context = context;
    (*definitions)->graphs = map_create(context->arena);
    struct text bytes = {(const char *)builtin_definitions.bytes, builtin_definitions.length};
    return file_read_memory(context, builtin_definitions.name, bytes, &(*definitions)->file);
}

bool definition_is_of(struct text module, struct text target) {
    if (module.length != target.length) return false;
    for (size_t i = 0; i < module.length; i++)
        if (module.data[i] != (target.data[i] == '.' ? '_' : target.data[i])) return false;
    return true;
}

regraft_status definitions_find(struct definitions *definitions, const struct operation *operation,
                                struct graph **definition) {
    struct graph **slot = (struct graph **)map_slot_text(definitions->graphs, operation->target);
    *definition = *slot;
    for (size_t i = 0; !*definition && i < definitions->file->graphs.count; i++) {
        if (!definition_is_of(definitions->file->graphs.items[i].name, operation->target)) continue;
        TRY(file_graph(definitions->context, definitions->file, (int)i, NULL, definition));
        *slot = *definition;
    }
    return REGRAFT_OK;
}

regraft_status definitions_of_call(struct definitions *definitions, const struct node *node,
                                   struct graph **definition) {
    const struct operation *operation = node_called_operation(node);
    *definition = NULL;
    return operation ? definitions_find(definitions, operation, definition) : REGRAFT_OK;
}
