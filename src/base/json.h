/* What jansson does not tell at once. */
#ifndef REGRAFT_BASE_JSON_H
#define REGRAFT_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>

/* For arena_defer. */
static inline void json_release(void *object) { json_decref(object); }

/* Whether json_loadb failed for lack of memory: then most of its paths set no code at all. */
static inline bool json_lacked_memory(const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    return code == json_error_unknown || code == json_error_out_of_memory;
}

#endif
