/* Random graphs: views, updates, functionalised calls in both encodings, lists of tensors, arguments that are None, the cache of
 * a layer by name and as an input, raw in-place calls and write-backs; half of them with a symbolic number of rows. Every
 * text is well-formed and can be run: what a statement needs is there, or is made for it. */
#ifndef REGRAFT_TESTS_RANDOM_GRAPH_H
#define REGRAFT_TESTS_RANDOM_GRAPH_H

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum { most_values = 96, most_rank = 5, row = -1 /* the size s0; -2 is 2*s0 */ };

/* A value of the text that is written: its name and sizes. */
struct value_text {
    char name[24];
    size_t rank;
    int sizes[most_rank]; /* -k: k*s0 */
    bool dense;           /* row-major from the start of its storage */
};

struct writer {
    struct builder out;
    struct value_text values[most_values];
    size_t count, names, inputs;
    uint64_t state;
    bool raw; /* raw in-place calls are allowed */
    int rows; /* of the first input: 4, or `row` */
};

static inline uint64_t next_random(struct writer *writer) { /* splitmix64 */
    uint64_t z = writer->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline int below(struct writer *writer, int limit) { return (int)(next_random(writer) % (uint64_t)limit); }

static inline struct value_text *pick(struct writer *writer) {
    /* recent values more often, so that chains grow long */
    int back = below(writer, 2) ? below(writer, (int)writer->count)
                                : below(writer, writer->count < 6 ? (int)writer->count : 6);
    return &writer->values[writer->count - 1 - (size_t)back];
}

static inline void new_name(struct writer *writer, char name[24]) { snprintf(name, 24, "v%zu", writer->names++); }

static inline struct value_text *add(struct writer *writer, size_t rank, const int *sizes) {
    struct value_text *value = &writer->values[writer->count++];
    *value = (struct value_text){.rank = rank};
    new_name(writer, value->name);
    for (size_t i = 0; i < rank; i++) value->sizes[i] = sizes[i];
    return value;
}
static inline struct value_text *add_like(struct writer *writer, const struct value_text *like) {
    struct value_text *value = add(writer, like->rank, like->sizes);
    value->dense = like->dense;
    return value;
}

__attribute__((format(printf, 3, 4))) static inline void line(struct writer *writer, const char *name,
                                                              const char *format, ...) {
    va_list list;
    va_start(list, format);
    builder_format(&writer->out, "        %s = torch.ops.%s\n", name,
                   text_format_list(writer->out.arena, format, list));
    va_end(list);
}

static inline struct value_text *add_item(struct writer *writer, const char *call, int item,
                                          const struct value_text *like) {
    struct value_text *value = add_like(writer, like);
    builder_format(&writer->out, "        %s = %s[%d]\n", value->name, call, item);
    return value;
}

/* `6`, `s0`, `2*s0` */
static inline const char *size_text(struct writer *writer, int size) {
    struct arena *arena = writer->out.arena;
    if (size >= 0) return text_format(arena, "%d", size);
    return size == row ? "s0" : text_format(arena, "%d*s0", -size);
}

static inline const char *sizes_text(struct writer *writer, size_t rank, const int *sizes) {
    struct builder list;
    builder_init(&list, writer->out.arena);
    for (size_t i = 0; i < rank; i++) builder_format(&list, "%s%s", i ? ", " : "", size_text(writer, sizes[i]));
    return list.length ? list.data : "";
}

static inline bool same_sizes(const struct value_text *value, size_t rank, const int *sizes) {
    return value->rank == rank && memcmp(value->sizes, sizes, rank * sizeof *sizes) == 0;
}

/* A value of just these sizes: one that is there, or one made for it. */
static inline struct value_text value_of_sizes(struct writer *writer, size_t rank, const int *sizes) {
    for (int tries = 0; tries < 8; tries++) {
        struct value_text *value = pick(writer);
        if (same_sizes(value, rank, sizes)) return *value;
    }
    struct value_text made = {.rank = rank, .dense = true};
    memcpy(made.sizes, sizes, rank * sizeof *sizes);
    new_name(writer, made.name);
    line(writer, made.name,
         "aten.full.default([%s], 0.%d, dtype = torch.float32, device = device(type='cpu'), pin_memory = False)",
         sizes_text(writer, rank, sizes), 1 + below(writer, 8));
    return made;
}

static inline const char *of_sizes(struct writer *writer, size_t rank, const int *sizes) {
    return text_format(writer->out.arena, "%s", value_of_sizes(writer, rank, sizes).name);
}

/* Memory that was not written, and somebody will write whole. */
static inline const char *empty_of_sizes(struct writer *writer, size_t rank, const int *sizes) {
    char name[24];
    new_name(writer, name);
    line(writer, name,
         "aten.empty.memory_format([%s], dtype = torch.float32, device = device(type='cpu'), pin_memory = False)",
         sizes_text(writer, rank, sizes));
    return text_format(writer->out.arena, "%s", name);
}

/* A part of one dimension of a value: slice(value, dimension, start, end, step). */
struct window_text {
    int dimension, step, size;
    const char *start, *end;
};

static inline struct window_text window_of(struct writer *writer, const struct value_text *value) {
    struct window_text window = {.dimension = below(writer, (int)value->rank), .step = 1};
    int size = value->sizes[window.dimension], unit = size < 0 ? row : 1, count = size / unit;
    int start = below(writer, count), length = 1 + below(writer, count - start);
    if (unit == 1 && !below(writer, 5)) window.step = 2;
    window.size = unit * ((length + window.step - 1) / window.step);
    window.start = start ? size_text(writer, unit * start) : "0";
    window.end = size_text(writer, unit * (start + length));
    return window;
}

/* ---- views ---- */

static inline void write_slice(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (!from.rank) return;
    struct window_text window = window_of(writer, &from);
    struct value_text *to = add(writer, from.rank, from.sizes);
    to->sizes[window.dimension] = window.size;
    line(writer, to->name, "aten.slice.Tensor(%s, %d, %s, %s, %d)", from.name, window.dimension, window.start,
         window.end, window.step);
}

static inline void remove_dimension(struct value_text *value, int dimension) {
    for (size_t i = (size_t)dimension; i + 1 < value->rank; i++) value->sizes[i] = value->sizes[i + 1];
    value->rank--;
}

static inline void write_select(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (from.rank < 2) return;
    int dimension = below(writer, (int)from.rank);
    if (from.sizes[dimension] < 0) return;
    int index = below(writer, from.sizes[dimension]);
    struct value_text *to = add(writer, from.rank, from.sizes);
    remove_dimension(to, dimension);
    line(writer, to->name, "aten.select.int(%s, %d, %d)", from.name, dimension, index);
}

static inline void write_split(struct writer *writer) {
    struct value_text from = *pick(writer);
    char call[24];
    if (!from.rank) return;
    int dimension = below(writer, (int)from.rank), size = from.sizes[dimension], unit = size < 0 ? row : 1;
    int first = unit * below(writer, size / unit + 1), parts[2] = {first, size - first};
    new_name(writer, call);
    line(writer, call, "aten.split_with_sizes.default(%s, [%s, %s], %d)", from.name,
         parts[0] ? size_text(writer, parts[0]) : "0", parts[1] ? size_text(writer, parts[1]) : "0",
         dimension - (below(writer, 2) ? (int)from.rank : 0));
    for (int item = 0; item < 2; item++) {
        if (!parts[item] || !below(writer, 4)) continue;
        struct value_text *to = add(writer, from.rank, from.sizes);
        to->sizes[dimension] = parts[item];
        builder_format(&writer->out, "        %s = %s[%d]\n", to->name, call, item);
    }
}

static inline void write_permute(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (from.rank < 2) return;
    int a = below(writer, (int)from.rank), b = below(writer, (int)from.rank);
    struct value_text *to = add(writer, from.rank, from.sizes);
    to->sizes[a] = from.sizes[b];
    to->sizes[b] = from.sizes[a];
    line(writer, to->name, "aten.transpose.int(%s, %d, %d)", from.name, a, b);
}

static inline void write_unsqueeze(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (from.rank == most_rank) return;
    int dimension = below(writer, (int)from.rank + 1);
    struct value_text *to = add(writer, from.rank + 1, from.sizes);
    for (size_t i = from.rank; i > (size_t)dimension; i--) to->sizes[i] = from.sizes[i - 1];
    to->sizes[dimension] = 1;
    line(writer, to->name, "aten.unsqueeze.default(%s, %d)", from.name, dimension);
}

/* The factors of the size, spread over three dimensions; a symbolic first dimension stays what it is. */
static inline void write_reshape(struct writer *writer) {
    struct value_text from = *pick(writer);
    bool symbolic = from.rank && from.sizes[0] < 0;
    int count = 1, parts[3] = {1, 1, 1};
    for (size_t i = symbolic; i < from.rank; i++) {
        if (from.sizes[i] < 0) return;
        count *= from.sizes[i];
    }
    for (int factor = 2; factor <= 3; factor++)
        while (count % factor == 0) {
            parts[symbolic ? 1 + below(writer, 2) : below(writer, 3)] *= factor;
            count /= factor;
        }
    if (count != 1) return;
    if (symbolic) parts[0] = from.sizes[0];
    struct value_text *to = add(writer, 3, parts);
    line(writer, to->name, "aten.reshape.default(%s, [%s, %d, -1])", from.name, size_text(writer, parts[0]), parts[1]);
}

/* ---- values ---- */

static inline void write_compute(struct writer *writer) {
    struct value_text from = *pick(writer), *to = add_like(writer, &from);
    switch (below(writer, 4)) {
    case 0:
        line(writer, to->name, "aten.clone.default(%s)", from.name);
        break;
    case 1:
        line(writer, to->name, "aten.neg.default(%s)", from.name);
        break;
    default:
        line(writer, to->name, "aten.add.Tensor(%s, %d.5)", from.name, below(writer, 9));
    }
}

/* Lists of tensors. */
static inline void write_join(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (!from.rank || from.rank == most_rank) return;
    const char *other = of_sizes(writer, from.rank, from.sizes);
    int dimension = below(writer, (int)from.rank);
    if (below(writer, 2)) {
        struct value_text *to = add(writer, from.rank, from.sizes);
        to->sizes[dimension] *= 2;
        line(writer, to->name, "aten.cat.default([%s, %s], %d)", from.name, other, dimension);
        return;
    }
    int sizes[most_rank] = {2};
    memcpy(sizes + 1, from.sizes, from.rank * sizeof *sizes);
    struct value_text *to = add(writer, from.rank + 1, sizes);
    line(writer, to->name, "aten.stack.default([%s, %s])", from.name, other);
}

/* Through memory of another element type: all of it, a part of it, or with a part of it replaced, as it is or as a copy. */
static inline void write_bits(struct writer *writer) {
    struct value_text from = *pick(writer), part = from;
    char bits[24], changed[24], source_bits[24];
    if (!from.rank) return;
    struct window_text window = window_of(writer, &from);
    int kind = below(writer, 4);
    part.sizes[window.dimension] = window.size;
    const char *source = kind == 1 ? of_sizes(writer, part.rank, part.sizes) : NULL;
    new_name(writer, bits);
    new_name(writer, changed);
    new_name(writer, source_bits);
    line(writer, bits, "aten.view.dtype(%s, torch.int32)", from.name);
    if (source) line(writer, source_bits, "aten.view.dtype(%s, torch.int32)", source);
    if (kind == 0)
        line(writer, changed, "aten.slice.Tensor(%s, %d, %s, %s, %d)", bits, window.dimension, window.start, window.end,
             window.step);
    else if (source)
        line(writer, changed, "aten.slice_scatter.default(%s, %s, %d, %s, %s, %d)", bits, source_bits, window.dimension,
             window.start, window.end, window.step);
    else
        line(writer, changed, kind == 2 ? "aten.alias.default(%s)" : "aten.clone.default(%s)", bits);
    struct value_text *to = kind ? add_like(writer, &from) : add(writer, part.rank, part.sizes);
    line(writer, to->name, "aten.view.dtype(%s, torch.float32)", changed);
}

/* ---- updates ---- */

static inline void write_slice_scatter(struct writer *writer) {
    struct value_text base = *pick(writer), part = base;
    if (!base.rank) return;
    struct window_text window = window_of(writer, &base);
    part.sizes[window.dimension] = window.size;
    const char *source = of_sizes(writer, part.rank, part.sizes);
    struct value_text *to = add_like(writer, &base);
    line(writer, to->name, "aten.slice_scatter.default(%s, %s, %d, %s, %s, %d)", base.name, source, window.dimension,
         window.start, window.end, window.step);
}

static inline void write_select_scatter(struct writer *writer) {
    struct value_text base = *pick(writer), part = base;
    if (base.rank < 2) return;
    int dimension = below(writer, (int)base.rank);
    if (base.sizes[dimension] < 0) return;
    int index = below(writer, base.sizes[dimension]);
    remove_dimension(&part, dimension);
    const char *source = of_sizes(writer, part.rank, part.sizes);
    struct value_text *to = add_like(writer, &base);
    line(writer, to->name, "aten.select_scatter.default(%s, %s, %d, %d)", base.name, source, dimension, index);
}

static inline void write_copy(struct writer *writer) {
    struct value_text base = *pick(writer);
    const char *source = of_sizes(writer, base.rank, base.sizes);
    struct value_text *to = add_like(writer, &base);
    line(writer, to->name, "aten.copy.default(%s, %s)", base.name, source);
}

/* The three indices of the input `indices`, for the first dimension, or for the second one behind None. */
static inline void write_index_put(struct writer *writer) {
    struct value_text base = *pick(writer), part = base;
    size_t dimension = base.rank > 1 && below(writer, 2);
    if (!base.rank || base.sizes[dimension] < 0) return;
    part.sizes[dimension] = 3;
    const char *source = of_sizes(writer, part.rank, part.sizes), *none = dimension ? "None, " : "";
    if (writer->raw && below(writer, 2)) {
        char result[24];
        new_name(writer, result);
        line(writer, result, "aten.index_put_.default(%s, [%sindices], %s)", base.name, none, source);
        return;
    }
    struct value_text *to = add_like(writer, &base);
    line(writer, to->name, "aten.index_put.default(%s, [%sindices], %s)", base.name, none, source);
}

/* ---- functionalised calls ---- */

/* fused_add_rms_norm writes two arguments of equal sizes: here two windows of one base, or two values. */
static inline void write_norm_v1(struct writer *writer) {
    struct value_text a = *pick(writer);
    char call[24];
    if (!a.rank || a.sizes[a.rank - 1] < 0) return;
    const char *b = of_sizes(writer, a.rank, a.sizes), *weight = of_sizes(writer, 1, &a.sizes[a.rank - 1]);
    new_name(writer, call);
    line(writer, call,
         "higher_order.auto_functionalized(torch.ops._C.fused_add_rms_norm.default, input = %s, residual = %s, weight "
         "= %s, epsilon = 1e-05)",
         a.name, b, weight);
    for (int item = 1; item < 3; item++) add_item(writer, call, item, &a);
}

static inline void write_norm_v2(struct writer *writer) {
    struct value_text base = *pick(writer);
    char call[24];
    if (base.rank < 2 || base.sizes[base.rank - 1] < 2) return;
    int last = (int)base.rank - 1, size = base.sizes[last], width = 1 + below(writer, size / 2),
        first = below(writer, size - width + 1), second = below(writer, size - width + 1);
    const char *weight = of_sizes(writer, 1, &width);
    new_name(writer, call);
    line(writer, call,
         "higher_order.auto_functionalized_v2(torch.ops._C.fused_add_rms_norm.default, weight = %s, epsilon = 1e-05, "
         "_input_base_index = 0, _input_slice_dim = %d, _input_slice_start = %d, _input_slice_end = %d, "
         "_residual_base_index = 0, _residual_slice_dim = %d, _residual_slice_start = %d, _residual_slice_end = %d, "
         "_all_bases = [%s])",
         weight, last, first, first + width, last, second, second + width, base.name);
    add_item(writer, call, 1, &base);
}

/* The windows as sizes, strides and offsets, which may meet or not; the second one in another base now and then. */
static inline void write_strided_v2(struct writer *writer) {
    struct value_text base = *pick(writer);
    char call[24];
    int count = 1;
    for (size_t i = 0; i < base.rank; i++) count *= base.sizes[i];
    if (!base.dense || count < 6 || base.sizes[0] < 0) return;
    int height = 1 + below(writer, 2), width = 1 + below(writer, count / 3), stride = width + below(writer, 3);
    int last = (height - 1) * stride + width - 1;
    if (last >= count) return;
    int first = below(writer, count - last), second = below(writer, count - last);
    struct value_text other = below(writer, 3) ? base : value_of_sizes(writer, base.rank, base.sizes);
    bool two = other.dense && strcmp(other.name, base.name) != 0;
    const char *weight = of_sizes(writer, 1, &width);
    new_name(writer, call);
    line(writer, call,
         "higher_order.auto_functionalized_v2(torch.ops._C.fused_add_rms_norm.default, weight = %s, epsilon = 1e-05, "
         "_input_base_index = 0, _input_size = [%d, %d], _input_stride = [%d, 1], _input_storage_offset = %d, "
         "_residual_base_index = %d, _residual_size = [%d, %d], _residual_stride = [%d, 1], _residual_storage_offset = "
         "%d, _all_bases = [%s%s%s])",
         weight, height, width, stride, first, two, height, width, stride, second, base.name, two ? ", " : "",
         two ? other.name : "");
    for (int item = 1; item < 2 + two; item++) add_item(writer, call, item, &base);
}

/* Results that are built in fresh memory: silu_and_mul of a value with an even last size. */
static inline void write_fresh(struct writer *writer) {
    struct value_text from = *pick(writer), half = from;
    char call[24];
    if (!from.rank || from.sizes[from.rank - 1] < 0 || from.sizes[from.rank - 1] % 2) return;
    half.sizes[from.rank - 1] /= 2;
    half.dense = false;
    const char *result =
        below(writer, 4) ? empty_of_sizes(writer, half.rank, half.sizes) : of_sizes(writer, half.rank, half.sizes);
    new_name(writer, call);
    if (below(writer, 2))
        line(writer, call,
             "higher_order.auto_functionalized(torch.ops._C.silu_and_mul.default, result = %s, input = %s)", result,
             from.name);
    else
        line(writer, call,
             "higher_order.auto_functionalized_v2(torch.ops._C.silu_and_mul.default, input = %s, _result_base_index = "
             "0, _all_bases = [%s])",
             from.name, result);
    add_item(writer, call, 1, &half);
}

/* A rotary embedding of a query [rows, heads * 2], with a key or with None. */
static inline void write_rotary(struct writer *writer) {
    struct value_text query = *pick(writer);
    char call[24];
    if (query.rank != 2 || query.sizes[0] != writer->rows || query.sizes[1] < 2 || query.sizes[1] % 2) return;
    int pair[2] = {writer->rows, 2};
    struct value_text key = value_of_sizes(writer, 2, pair);
    bool with_key = below(writer, 3) != 0, neox = below(writer, 2);
    new_name(writer, call);
    if (writer->raw && below(writer, 2)) {
        line(writer, call, "_C.rotary_embedding.default(positions, %s, %s, 2, cosines, %s)", query.name,
             with_key ? key.name : "None", neox ? "True" : "False");
        return;
    }
    if (below(writer, 2))
        line(writer, call,
             "higher_order.auto_functionalized(torch.ops._C.rotary_embedding.default, positions = positions, query = "
             "%s, key = %s, head_size = 2, cos_sin_cache = cosines, is_neox = %s)",
             query.name, with_key ? key.name : "None", neox ? "True" : "False");
    else
        line(writer, call,
             "higher_order.auto_functionalized_v2(torch.ops._C.rotary_embedding.default, positions = positions, "
             "head_size = 2, cos_sin_cache = cosines, is_neox = %s, _query_base_index = 0, _key_base_index = %s, "
             "_all_bases = [%s%s%s])",
             neox ? "True" : "False",
             !with_key                      ? "None"
             : strcmp(key.name, query.name) ? "1"
                                            : "0",
             query.name, with_key && strcmp(key.name, query.name) ? ", " : "",
             with_key && strcmp(key.name, query.name) ? key.name : "");
    add_item(writer, call, 1, &query);
    if (with_key && strcmp(key.name, query.name)) add_item(writer, call, 2, &key);
}

/* ---- caches ---- */

/* The cache of a layer, by name: one layer for each set of sizes [tokens, heads, width]. */
static inline void write_layer(struct writer *writer) {
    struct value_text key = *pick(writer);
    char dep[24], call[24], layer[48];
    if (key.rank != 3 || key.sizes[1] < 0 || key.sizes[2] < 0) return;
    const char *symbol = key.sizes[0] < 0 ? "s" : ""; /* a multiple of s0 */
    snprintf(layer, sizeof layer, "'layer_%s%d_%d_%d'", symbol, abs(key.sizes[0]), key.sizes[1], key.sizes[2]);
    const char *value = of_sizes(writer, 3, key.sizes), *query = of_sizes(writer, 3, key.sizes);
    new_name(writer, dep);
    line(writer, dep, "vllm.unified_kv_cache_update.default(%s, %s, %s)", key.name, value, layer);
    if (!below(writer, 3)) return;
    const char *output = below(writer, 2) ? empty_of_sizes(writer, 3, key.sizes) : of_sizes(writer, 3, key.sizes);
    new_name(writer, call);
    if (writer->raw && below(writer, 2)) {
        line(writer, call,
             "vllm.unified_attention_with_output.default(%s, %s, %s, %s, %s, None, None, kv_cache_dummy_dep = %s)",
             query, key.name, value, output, layer, dep);
        return;
    }
    bool v2 = below(writer, 2);
    line(writer, call,
         "higher_order.auto_functionalized%s(torch.ops.vllm.unified_attention_with_output.default, query = %s, key = "
         "%s, value = %s, %s%s%slayer_name = %s, output_scale = None, output_block_scale = None, kv_cache_dummy_dep = "
         "%s%s%s%s)",
         v2 ? "_v2" : "", query, key.name, value, v2 ? "" : "output = ", v2 ? "" : output, v2 ? "" : ", ", layer, dep,
         v2 ? ", _output_base_index = 0, _all_bases = [" : "", v2 ? output : "", v2 ? "]" : "");
    key.dense = false;
    add_item(writer, call, 1, &key);
}

/* The fused operation of MLA: rotates a part of q and of k, and writes the latent and k into the cache of a layer. */
static inline void write_latent(struct writer *writer) {
    struct value_text latent = *pick(writer);
    char call[24], parts[3][24];
    if (latent.rank != 2 || latent.sizes[0] != writer->rows || latent.sizes[1] < 3) return;
    int queries[3] = {writer->rows, 3, 4}, width = latent.sizes[1];
    struct value_text query = value_of_sizes(writer, 3, queries);
    for (size_t i = 0; i < 3; i++) new_name(writer, parts[i]);
    line(writer, parts[0], "aten.slice.Tensor(%s, 2, 2, 4)", query.name);
    line(writer, parts[1], "aten.slice.Tensor(%s, 1, 0, %d)", latent.name, width - 2);
    line(writer, parts[2], "aten.slice.Tensor(%s, 1, %d, %d)", latent.name, width - 2, width);
    const char *dummy = empty_of_sizes(writer, 1, (int[]){0});
    new_name(writer, call);
    if (writer->raw && below(writer, 2)) {
        line(writer, call,
             "vllm.fused_concat_and_cache_mla_rope.default(%s, positions, %s, %s, %s, cosines, False, 'auto', scale, "
             "'latent_%d')",
             dummy, parts[0], parts[2], parts[1], width);
        return;
    }
    line(writer, call,
         "higher_order.auto_functionalized(torch.ops.vllm.fused_concat_and_cache_mla_rope.default, dummy = %s, "
         "positions = positions, q_pe = %s, k_pe = %s, kv_c = %s, cos_sin_cache = cosines, is_neox = False, "
         "kv_cache_dtype = 'auto', kv_cache_scale = scale, layer_name = 'latent_%d')",
         dummy, parts[0], parts[2], parts[1], width);
    struct value_text rotated = {.rank = 3, .sizes = {writer->rows, 3, 2}},
                      key = {.rank = 2, .sizes = {writer->rows, 2}};
    rotated = *add_item(writer, call, 2, &rotated);
    key = *add_item(writer, call, 3, &key);
    struct value_text *to = add(writer, 3, queries);
    line(writer, to->name, "aten.slice_scatter.default(%s, %s, 2, 2, 4)", query.name, rotated.name);
    to = add(writer, 2, latent.sizes);
    line(writer, to->name, "aten.slice_scatter.default(%s, %s, 1, %d, %d)", latent.name, key.name, width - 2, width);
}

/* A cache of keys and values as an input, [2, blocks, block, heads, width]: both halves are written by one call. */
static inline void write_halves(struct writer *writer) {
    static const int cache_sizes[5] = {2, 3, 2, 1, 2}, token_sizes[3] = {4, 1, 2}, half_sizes[4] = {3, 2, 1, 2};
    struct value_text cache = value_of_sizes(writer, 5, cache_sizes), half = {.rank = 4};
    const char *key = of_sizes(writer, 3, token_sizes), *value = of_sizes(writer, 3, token_sizes);
    char call[24], halves[2][24];
    memcpy(half.sizes, half_sizes, sizeof half_sizes);
    for (size_t i = 0; i < 2; i++) new_name(writer, halves[i]);
    if (cache.dense && below(writer, 2)) {
        new_name(writer, call);
        line(writer, call,
             "higher_order.auto_functionalized_v2(torch.ops._C_cache_ops.reshape_and_cache_flash.default, key = %s, "
             "value = %s, slot_mapping = slots, kv_cache_dtype = 'auto', k_scale = scale, v_scale = scale, "
             "_key_cache_base_index = 0, _key_cache_size = [3, 2, 1, 2], _key_cache_stride = [4, 2, 2, 1], "
             "_key_cache_storage_offset = 0, _value_cache_base_index = 0, _value_cache_size = [3, 2, 1, 2], "
             "_value_cache_stride = [4, 2, 2, 1], _value_cache_storage_offset = 12, _all_bases = [%s])",
             key, value, cache.name);
        add_item(writer, call, 1, &cache);
        return;
    }
    for (int i = 0; i < 2; i++) line(writer, halves[i], "aten.select.int(%s, 0, %d)", cache.name, i);
    new_name(writer, call);
    if (writer->raw && below(writer, 2)) {
        line(writer, call, "_C_cache_ops.reshape_and_cache_flash.default(%s, %s, %s, %s, slots, 'auto', scale, scale)",
             key, value, halves[0], halves[1]);
        return;
    }
    line(writer, call,
         "higher_order.auto_functionalized(torch.ops._C_cache_ops.reshape_and_cache_flash.default, key = %s, value = "
         "%s, key_cache = %s, value_cache = %s, slot_mapping = slots, kv_cache_dtype = 'auto', k_scale = scale, "
         "v_scale = scale)",
         key, value, halves[0], halves[1]);
    struct value_text updated = cache;
    for (int i = 0; i < 2; i++) {
        struct value_text item = *add_item(writer, call, i + 1, &half), *to = add_like(writer, &cache);
        line(writer, to->name, "aten.select_scatter.default(%s, %s, 0, %d)", updated.name, item.name, i);
        updated = *to;
    }
}

/* ---- raw calls; what they write must not be expanded memory, which no statement here makes ---- */

static inline void write_raw(struct writer *writer) {
    struct value_text target = *pick(writer);
    char result[24];
    if (!writer->raw) return;
    new_name(writer, result);
    int kind = below(writer, 6);
    if (kind == 0 && target.rank && target.sizes[target.rank - 1] > 0) {
        const char *other = of_sizes(writer, target.rank, target.sizes),
                   *weight = of_sizes(writer, 1, &target.sizes[target.rank - 1]);
        line(writer, result, "_C.fused_add_rms_norm.default(%s, %s, %s, 1e-05)", target.name, other, weight);
    } else if (kind == 1) {
        line(writer, result, "aten.mul_.Tensor(%s, 1.%d)", target.name, below(writer, 5));
    } else if (kind == 2) {
        line(writer, result, "aten.zero_.default(%s)", target.name);
    } else if (kind == 3) {
        line(writer, result, "aten.add_.Tensor(%s, %d.25)", target.name, below(writer, 5));
    } else {
        const char *source = of_sizes(writer, target.rank, target.sizes);
        line(writer, result, "aten.copy_.default(%s, %s)", target.name, source);
    }
}

/* ---- graphs ---- */

static void (*const statements[])(struct writer *) = {
    write_slice,         write_slice,         write_select,        write_split,         write_split,
    write_permute,       write_unsqueeze,     write_reshape,       write_compute,       write_compute,
    write_slice_scatter, write_slice_scatter, write_slice_scatter, write_slice_scatter, write_select_scatter,
    write_copy,          write_norm_v1,       write_norm_v2,       write_norm_v2,       write_select_scatter,
    write_raw,           write_raw,           write_strided_v2,    write_fresh,         write_rotary,
    write_layer,         write_latent,        write_halves,        write_join,          write_index_put,
    write_bits,
};

static inline void write_inputs(struct writer *writer) {
    static const int sizes[4][5] = {{4, 6}, {4, 12}, {2, 6, 4}, {2, 3, 2, 1, 2}};
    static const size_t ranks[4] = {2, 2, 3, 5};
    const char *rows = size_text(writer, writer->rows);
    builder_string(&writer->out, "class GraphModule(torch.nn.Module):\n    def forward(self");
    if (writer->rows < 0 && below(writer, 2)) builder_string(&writer->out, ", rows: \"Sym(s0)\"");
    for (size_t i = 0; i < 4; i++) {
        struct value_text *value = add(writer, ranks[i], sizes[i]);
        if (writer->rows < 0 && i < 2) value->sizes[0] = i && below(writer, 2) ? 2 * writer->rows : writer->rows;
        value->dense = true;
        builder_format(&writer->out, ", %s: \"f32[%s][", value->name, sizes_text(writer, value->rank, value->sizes));
        for (size_t d = 0; d < value->rank; d++) {
            int stride = 1;
            for (size_t k = d + 1; k < value->rank; k++) stride *= value->sizes[k];
            builder_format(&writer->out, "%s%d", d ? ", " : "", stride);
        }
        builder_string(&writer->out, "]cpu\"");
    }
    writer->inputs = writer->count;
    builder_format(&writer->out,
                   ", indices: \"i64[3][1]cpu\", positions: \"i64[%s][1]cpu\", cosines: \"f32[8, 2][2, 1]cpu\", slots: "
                   "\"i64[4][1]cpu\", scale: \"f32[1][1]cpu\"):\n",
                   rows);
}

/* New values of inputs, written back at the end. */
static inline void write_backs(struct writer *writer) {
    for (size_t input = 0; input < writer->inputs; input++) {
        char result[24];
        if (below(writer, 3)) continue;
        const char *source = of_sizes(writer, writer->values[input].rank, writer->values[input].sizes);
        new_name(writer, result);
        line(writer, result, "aten.copy_.default(%s, %s)", writer->values[input].name, source);
    }
}

/* The graph of a seed. `writer` is scratch. */
static inline const char *write_graph(struct arena *arena, struct writer *writer, uint64_t seed) {
    *writer = (struct writer){.state = seed};
    builder_init(&writer->out, arena);
    writer->raw = below(writer, 3) == 0;
    writer->rows = below(writer, 2) ? row : 4;
    write_inputs(writer);
    int length = 6 + below(writer, 30);
    for (int i = 0; i < length && writer->count + 6 < most_values; i++)
        statements[below(writer, (int)(sizeof statements / sizeof *statements))](writer);
    write_backs(writer);
    builder_string(&writer->out, "        return (");
    int results = 1 + below(writer, 4);
    for (int i = 0; i < results; i++) builder_format(&writer->out, "%s, ", pick(writer)->name);
    builder_string(&writer->out, ")\n");
    return writer->out.data;
}

#endif
