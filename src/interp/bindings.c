#include "interp/bindings.h"

#include "base/json.h"

void bindings_init(struct bindings *bindings, struct arena *arena) {
    tensor_set_init(&bindings->tensors, arena);
    bindings->symints = map_create(arena);
    bindings->scales = map_create(arena);
}

void bindings_set_symint(struct bindings *bindings, struct text name, int64_t value) {
    *map_slot_text(bindings->symints, name) = arena_copy(bindings->tensors.arena, &value, sizeof value);
}

void bindings_set_scale(struct bindings *bindings, struct text layer, double value) {
    *map_slot_text(bindings->scales, layer) = arena_copy(bindings->tensors.arena, &value, sizeof value);
}

/* The JSON object in one entry of the metadata; NULL when there is no such entry. */
static regraft_status parse_entry(struct bindings *bindings, struct diagnostics *diagnostics, const char *file,
                                  const char *name, json_t **object) {
    struct text text = tensor_set_metadata(&bindings->tensors, name);
    json_error_t error;
    *object = NULL;
    if (text.length == 0) return REGRAFT_OK;
    *object = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &error);
    if (!*object && json_lacked_memory(&error)) arena_exhausted(bindings->tensors.arena);
    if (*object) arena_defer(bindings->tensors.arena, json_release, *object);
    if (json_is_object(*object)) return REGRAFT_OK;
    return fail(diagnostics, REGRAFT_REJECTED, (struct position){0},
                "%s: the metadata entry '%s' must be a JSON object: %s", file, name,
                *object ? "it is another value" : error.text);
}

static regraft_status not_a_number(struct diagnostics *diagnostics, const char *file, const char *entry,
                                   const char *key) {
    return fail(diagnostics, REGRAFT_REJECTED, (struct position){0}, "%s: the metadata entry '%s': '%s' must be %s",
                file, entry, key, strcmp(entry, "scale") == 0 ? "a number" : "an integer");
}

regraft_status bindings_from_set(struct bindings *bindings, struct diagnostics *diagnostics, const char *name,
                                 const struct tensor_set *set) {
    json_t *symints, *scales, *value;
    const char *key;
    bindings_init(bindings, set->arena);
    bindings->tensors = *set;
    TRY(parse_entry(bindings, diagnostics, name, "symints", &symints));
    TRY(parse_entry(bindings, diagnostics, name, "scale", &scales));
    json_object_foreach(symints, key, value) {
        if (!json_is_integer(value)) return not_a_number(diagnostics, name, "symints", key);
        bindings_set_symint(bindings, text_of(key), json_integer_value(value));
    }
    json_object_foreach(scales, key, value) {
        if (!json_is_number(value)) return not_a_number(diagnostics, name, "scale", key);
        bindings_set_scale(bindings, text_of(key), json_number_value(value));
    }
    return REGRAFT_OK;
}

regraft_status bindings_load(struct bindings *bindings, struct arena *arena, struct diagnostics *diagnostics,
                             const char *path) {
    struct tensor_set set;
    TRY(safetensors_load(arena, diagnostics, path, &set));
    return bindings_from_set(bindings, diagnostics, path, &set);
}
