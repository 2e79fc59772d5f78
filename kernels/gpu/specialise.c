/* Specialisations: their options, the width of their accesses. */
#include "gpu/specialise.h"

#include <stdio.h>
#include <string.h>

int specialisation_equal(const struct specialisation *a, const struct specialisation *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

void specialisation_options(const struct specialisation *specialisation, char options[][GPU_OPTION_SIZE]) {
    size_t count = 0;
#define OPTION(name) snprintf(options[count++], GPU_OPTION_SIZE, "-D" #name "=%d", specialisation->name);
    GPU_CONSTANTS(OPTION)
#undef OPTION
}

struct chunk chunk_of_type(int element_size) {
    return (struct chunk){16 / element_size};
}

void chunk_count(struct chunk *chunk, long long count) {
    while (chunk->vector > 1 && count % chunk->vector != 0) chunk->vector /= 2;
}

void chunk_bytes(struct chunk *chunk, int element_size, long long bytes) {
    while (chunk->vector > 1) {
        int wide = chunk->vector * element_size;
        if (bytes % (wide < 16 ? wide : 16) == 0) return;
        chunk->vector /= 2;
    }
}

struct segment_steps segment_steps(struct segment_shape s) {
    struct segment_steps result = {0, 1, 0};
    int chunks = s.rotated && s.interleaved && s.vector > 1 ? 1 : s.rotated ? 2 : s.copied_chunks;
    int copied = s.whole ? (s.size - s.rotated) / s.vector : 0;
    result.units = s.rotated / chunks / s.vector + divide_up(copied, chunks);
    while (result.lanes < result.units && result.lanes < 32) result.lanes *= 2;
    result.steps = divide_up(s.heads * result.lanes, 32);
    return result;
}
