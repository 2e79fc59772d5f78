/* Row functions for one element type: ELEMENT; LOAD and STORE of a block, ROUND to what an element holds; NAME of a
 * function. Included once a type. */

/* The first `count` of a block, the others 0. */
static block NAME(load_part)(const ELEMENT *in, int64_t count) {
    ELEMENT all[block_lanes] = {0};
    memcpy(all, in, (size_t)count * sizeof *all);
    return LOAD(all);
}

static void NAME(store_part)(ELEMENT *out, block a, int64_t count) {
    ELEMENT all[block_lanes];
    STORE(all, a);
    memcpy(out, all, (size_t)count * sizeof *all);
}

static inline block NAME(load_up_to)(const ELEMENT *in, int64_t count) {
    return count >= block_lanes ? LOAD(in) : NAME(load_part)(in, count);
}

static inline void NAME(store_up_to)(ELEMENT *out, block a, int64_t count) {
    if (count >= block_lanes)
        STORE(out, a);
    else
        NAME(store_part)(out, a, count);
}

/* ---- rotation ---- */

static void NAME(rotate_half)(const struct turn *turn, const ELEMENT *in, ELEMENT *out) {
    int64_t pairs = turn->pairs;
    for (int64_t i = 0; i < pairs; i += block_lanes) {
        block cosine = load_f32(turn->cosines + i), sine = load_f32(turn->sines + i);
        block x = NAME(load_up_to)(in + i, pairs - i), y = NAME(load_up_to)(in + pairs + i, pairs - i);
        block first = block_subtract(block_multiply(x, cosine), block_multiply(y, sine));
        block second = block_add(block_multiply(y, cosine), block_multiply(x, sine));
        NAME(store_up_to)(out + i, first, pairs - i);
        NAME(store_up_to)(out + pairs + i, second, pairs - i);
    }
}

/* x * c + y * (-s) has the bits of x * c - y * s. */
static void NAME(rotate_interleaved)(const struct turn *turn, const ELEMENT *in, ELEMENT *out) {
    int64_t width = 2 * turn->pairs;
    for (int64_t i = 0; i < width; i += block_lanes) {
        block cosine = load_f32(turn->cosines + i), sine = load_f32(turn->sines + i);
        block x = NAME(load_up_to)(in + i, width - i);
        block turned = block_add(block_multiply(x, cosine), block_multiply(block_swap_pairs(x), sine));
        NAME(store_up_to)(out + i, turned, width - i);
    }
}

static void NAME(rotate)(const struct turn *turn, const struct rows *rows) {
    const ELEMENT *in = rows->in;
    ELEMENT *out = rows->out;
    for (int64_t head = 0; head < rows->heads; head++, in += rows->in_stride, out += rows->out_stride)
        if (turn->interleaved)
            NAME(rotate_interleaved)(turn, in, out);
        else
            NAME(rotate_half)(turn, in, out);
}

/* Rows end with a whole block: the buffers are a multiple of that long. */
static void NAME(load_turn)(struct turn *turn, const void *row, int inverse) {
    const ELEMENT *cosines = row, *sines = cosines + turn->pairs;
    for (int64_t i = 0; i < turn->pairs; i += block_lanes) {
        block cosine = NAME(load_up_to)(cosines + i, turn->pairs - i);
        block sine = NAME(load_up_to)(sines + i, turn->pairs - i);
        if (inverse) sine = block_multiply(sine, block_set(-1));
        if (!turn->interleaved) {
            store_f32(turn->cosines + i, cosine);
            store_f32(turn->sines + i, sine);
            continue;
        }
        for (int second = 0; second < 2; second++) {
            store_f32(turn->cosines + 2 * i + block_lanes * second, block_double(cosine, second));
            store_f32(turn->sines + 2 * i + block_lanes * second, block_negate_even(block_double(sine, second)));
        }
    }
}

/* ---- norms ---- */

/* in + residual, rounded and stored to the residual. */
static inline block NAME(add_residual)(block x, ELEMENT *residual, int64_t count) {
    block sum = ROUND(block_add(x, NAME(load_up_to)(residual, count)));
    NAME(store_up_to)(residual, sum, count);
    return sum;
}

/* The sum of squares has one order in all forms: 64 partial sums, element i to sum i % 64; then by halves. */
static float NAME(sum_of_squares)(const ELEMENT *in, ELEMENT *residual, int64_t size) {
    block sums[4] = {block_set(0), block_set(0), block_set(0), block_set(0)};
    for (int64_t i = 0; i < size; i += 4 * block_lanes)
        for (int64_t part = 0; part < 4; part++) {
            int64_t at = i + part * block_lanes;
            if (at >= size) break;
            block x = NAME(load_up_to)(in + at, size - at);
            if (residual) x = NAME(add_residual)(x, residual + at, size - at);
            sums[part] = block_add(sums[part], block_multiply(x, x));
        }
    return block_sum(block_add(block_add(sums[0], sums[1]), block_add(sums[2], sums[3])));
}

static void NAME(norm_row)(const struct norm_rows *norm, const ELEMENT *in, ELEMENT *residual, ELEMENT *out) {
    const ELEMENT *weight = norm->weight, *source = residual ? residual : in;
    float mean = NAME(sum_of_squares)(in, residual, norm->size) / (float)norm->size;
    block factor = block_set(1.0f / sqrtf(mean + norm->epsilon));
    for (int64_t i = 0; i < norm->size; i += block_lanes) {
        int64_t left = norm->size - i;
        block x = ROUND(block_multiply(NAME(load_up_to)(source + i, left), factor));
        if (weight) x = block_multiply(x, NAME(load_up_to)(weight + i, left));
        NAME(store_up_to)(out + i, x, left);
    }
}

static void NAME(norm)(const struct norm_rows *norm) {
    const struct rows *rows = &norm->rows;
    const ELEMENT *in = rows->in;
    ELEMENT *out = rows->out, *residual = norm->residual;
    for (int64_t head = 0; head < rows->heads; head++) {
        NAME(norm_row)(norm, in, residual, out);
        in += rows->in_stride;
        out += rows->out_stride;
        if (residual) residual += norm->residual_stride;
    }
}

/* ---- gated activation, quantisation ---- */

static void NAME(silu_and_mul)(void *out, const void *gate, const void *up, int64_t count) {
    const ELEMENT *gates = gate, *ups = up;
    ELEMENT *to = out;
    for (int64_t i = 0; i < count; i += block_lanes) {
        block x = NAME(load_up_to)(gates + i, count - i), y = NAME(load_up_to)(ups + i, count - i);
        NAME(store_up_to)(to + i, block_multiply(ROUND(block_silu(x)), y), count - i);
    }
}

static void NAME(quantize)(void *out, const void *in, int64_t count, float scale, int streaming) {
    const ELEMENT *from = in;
    uint8_t *to = out;
    block divisor = block_set(scale);
    streaming = streaming && (uintptr_t)out % block_lanes == 0;
    for (int64_t i = 0; i < count; i += block_lanes) {
        uint8_t codes[block_lanes] __attribute__((aligned(block_lanes)));
        store_fp8(codes, block_divide(NAME(load_up_to)(from + i, count - i), divisor));
        if (streaming && count - i >= block_lanes)
            stream_block(to + i, codes);
        else
            memcpy(to + i, codes, (size_t)(count - i < block_lanes ? count - i : block_lanes));
    }
}
