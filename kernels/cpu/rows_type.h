/* Row functions for one element type: ELEMENT; TYPE(name) of a vector_*.h for this type; NAME of a function here. Included once a
 * type, f32 first. */

/* The first `count` of a block, the others 0. */
static block NAME(load_part)(const ELEMENT *in, int64_t count) {
    ELEMENT all[block_lanes] = {0};
    memcpy(all, in, (size_t)count * sizeof *all);
    return TYPE(load)(all);
}

static void NAME(store_part)(ELEMENT *out, block a, int64_t count) {
    ELEMENT all[block_lanes];
    TYPE(store)(all, a);
    memcpy(out, all, (size_t)count * sizeof *all);
}

static inline block NAME(load_up_to)(const ELEMENT *in, int64_t count) {
    return count >= block_lanes ? TYPE(load)(in) : NAME(load_part)(in, count);
}

static inline void NAME(store_up_to)(ELEMENT *out, block a, int64_t count) {
    if (count >= block_lanes)
        TYPE(store)(out, a);
    else
        NAME(store_part)(out, a, count);
}

/* ---- rotation ---- */

static inline void NAME(rotate_half_block)(const struct turn *turn, const ELEMENT *in, ELEMENT *out, int64_t i,
                                           int64_t left) {
    block cosine = load_f32(turn->numbers + 2 * i), sine = load_f32(turn->numbers + 2 * i + block_lanes);
    block x = NAME(load_up_to)(in + i, left), y = NAME(load_up_to)(in + turn->pairs + i, left);
    block first = block_subtract(block_multiply(x, cosine), block_multiply(y, sine));
    block second = block_add(block_multiply(y, cosine), block_multiply(x, sine));
    NAME(store_up_to)(out + i, first, left);
    NAME(store_up_to)(out + turn->pairs + i, second, left);
}

static inline void NAME(rotate_half)(const struct turn *turn, const ELEMENT *in, ELEMENT *out) {
    int64_t i = 0, pairs = turn->pairs;
    for (; i + block_lanes <= pairs; i += block_lanes) NAME(rotate_half_block)(turn, in, out, i, block_lanes);
    if (i < pairs) NAME(rotate_half_block)(turn, in, out, i, pairs - i);
}

static inline void NAME(rotate_pairs_block)(const struct turn *turn, const ELEMENT *in, ELEMENT *out, int64_t i,
                                            int64_t left) {
    NAME(store_up_to)(out + i, TYPE(turn)(NAME(load_up_to)(in + i, left), turn->numbers + 2 * i), left);
}

static inline void NAME(rotate_pairs)(const struct turn *turn, const ELEMENT *in, ELEMENT *out) {
    int64_t i = 0, width = 2 * turn->pairs;
    for (; i + block_lanes <= width; i += block_lanes) NAME(rotate_pairs_block)(turn, in, out, i, block_lanes);
    if (i < width) NAME(rotate_pairs_block)(turn, in, out, i, width - i);
}

static void NAME(rotate)(const struct turn *turn, const struct rows *rows) {
    const ELEMENT *in = rows->in;
    const ELEMENT *ahead = rows->ahead.start;
    ELEMENT *out = rows->out;
    for (int64_t head = 0; head < rows->heads; head++, in += rows->in_stride, out += rows->out_stride) {
        if (ahead) fetch_lines(ahead + head * rows->in_stride, rows->ahead.lines);
        if (turn->interleaved)
            NAME(rotate_pairs)(turn, in, out);
        else
            NAME(rotate_half)(turn, in, out);
    }
}

/* A block of cosines and one of sines, in natural order, to where the rotation looks for them: whole blocks, for the buffers are
 * a multiple of that long. */
static inline void NAME(put_turn)(struct turn *turn, int64_t i, block cosine, block sine, int inverse) {
    cosine = block_replace_nan(cosine);
    sine = block_replace_nan(sine);
    if (inverse) sine = block_multiply(sine, block_set(-1));
    if (!turn->interleaved) {
        store_f32(turn->numbers + 2 * i, TYPE(order)(cosine));
        store_f32(turn->numbers + 2 * i + block_lanes, TYPE(order)(sine));
        return;
    }
    for (int second = 0; second < 2; second++) {
        float *at = turn->numbers + 2 * (2 * i + block_lanes * second);
        store_f32(at, TYPE(order)(block_double(cosine, second)));
        store_f32(at + block_lanes, TYPE(order)(block_negate_even(block_double(sine, second))));
    }
}

static void NAME(load_turn)(struct turn *turn, const void *row, int inverse) {
    const ELEMENT *cosines = row, *sines = cosines + turn->pairs;
    for (int64_t i = 0; i < turn->pairs; i += block_lanes) {
        block cosine = NAME(load_up_to)(cosines + i, turn->pairs - i);
        block sine = NAME(load_up_to)(sines + i, turn->pairs - i);
        NAME(put_turn)(turn, i, TYPE(natural)(cosine), TYPE(natural)(sine), inverse);
    }
}

static void NAME(load_turn_from_f32)(struct turn *turn, const void *row, int inverse) {
    const float *cosines = row, *sines = cosines + turn->pairs;
    for (int64_t i = 0; i < turn->pairs; i += block_lanes) {
        block cosine = load_up_to_of_f32(cosines + i, turn->pairs - i);
        block sine = load_up_to_of_f32(sines + i, turn->pairs - i);
        NAME(put_turn)(turn, i, cosine, sine, inverse);
    }
}

/* ---- norms ---- */

/* in + residual, rounded and stored to the residual. */
static inline block NAME(add_residual)(block x, ELEMENT *residual, int64_t count) {
    block sum = TYPE(round)(block_add(x, NAME(load_up_to)(residual, count)));
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
    return TYPE(sum)(block_add(block_add(sums[0], sums[1]), block_add(sums[2], sums[3])));
}

static void NAME(norm_row)(const struct norm_rows *norm, const ELEMENT *in, ELEMENT *residual, ELEMENT *out) {
    const ELEMENT *weight = norm->weight, *source = residual ? residual : in;
    float mean = NAME(sum_of_squares)(in, residual, norm->size) / (float)norm->size;
    block factor = block_replace_nan(block_set(1.0f / sqrtf(mean + norm->epsilon)));
    for (int64_t i = 0; i < norm->size; i += block_lanes) {
        int64_t left = norm->size - i;
        block x = TYPE(round)(block_multiply(NAME(load_up_to)(source + i, left), factor));
        if (weight) x = block_multiply(x, NAME(load_up_to)(weight + i, left));
        NAME(store_up_to)(out + i, x, left);
    }
}

static void NAME(norm)(const struct norm_rows *norm) {
    const struct rows *rows = &norm->rows;
    const ELEMENT *in = rows->in;
    ELEMENT *out = rows->out, *residual = norm->residual;
    for (int64_t head = 0; head < rows->heads; head++) {
        if (rows->ahead.start)
            fetch_lines((const ELEMENT *)rows->ahead.start + head * rows->in_stride, rows->ahead.lines);
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
        NAME(store_up_to)(to + i, block_multiply(TYPE(round)(block_silu(x)), y), count - i);
    }
}

static inline block NAME(scaled)(const ELEMENT *in, int64_t count, block scale, int is_factor) {
    block x = TYPE(natural)(NAME(load_up_to)(in, count));
    return is_factor ? block_multiply(x, scale) : block_divide(x, scale);
}

static void NAME(quantize)(void *out, const void *in, int64_t count, float scale, int streaming, const void *ahead) {
    const ELEMENT *from = in;
    uint8_t *to = out, codes[block_lanes];
    int is_factor = inverse_is_exact(scale);
    block by = block_set(is_factor ? 1 / scale : scale);
    int64_t i = 0;
    streaming = streaming && (uintptr_t)out % block_lanes == 0;
    for (; i + block_lanes <= count; i += block_lanes) {
        if (ahead && i % (4 * block_lanes) == 0) fetch_lines((const ELEMENT *)ahead + i, (int64_t)sizeof(ELEMENT));
        block x = NAME(scaled)(from + i, block_lanes, by, is_factor);
        if (streaming)
            stream_fp8(to + i, x);
        else
            store_fp8(to + i, x);
    }
    if (i == count) return;
    store_fp8(codes, NAME(scaled)(from + i, count - i, by, is_factor));
    memcpy(to + i, codes, (size_t)(count - i));
}
