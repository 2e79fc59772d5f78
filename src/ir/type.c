/* Element types, layouts, and how types print. */
#include "ir/type.h"

struct dtype_row {
    const char *abbreviation, *torch, *safetensors;
    size_t bits;
};

static const struct dtype_row rows[dtype_count] = {
#define DTYPE(name, abbreviation, torch, safetensors, bits) {abbreviation, torch, safetensors, bits},
#include "ir/dtype.def"
#undef DTYPE
};

const char *dtype_abbreviation(enum dtype dtype) { return rows[dtype].abbreviation; }
const char *dtype_torch_name(enum dtype dtype) { return rows[dtype].torch; }
const char *dtype_safetensors_name(enum dtype dtype) { return rows[dtype].safetensors; }
size_t dtype_size(enum dtype dtype) { return rows[dtype].bits / 8; }
bool dtype_is_floating(enum dtype dtype) { return dtype <= dtype_f4e2m1fnx2; }
bool dtype_is_complex(enum dtype dtype) { return dtype >= dtype_c32 && dtype <= dtype_c128; }

enum dtype dtype_part(enum dtype dtype) {
    return dtype == dtype_c32    ? dtype_f16
           : dtype == dtype_c64  ? dtype_f32
           : dtype == dtype_c128 ? dtype_f64
                                 : dtype_none;
}

enum dtype dtype_of_pairs(enum dtype dtype) {
    return dtype == dtype_f16   ? dtype_c32
           : dtype == dtype_f32 ? dtype_c64
           : dtype == dtype_f64 ? dtype_c128
                                : dtype_none;
}
bool dtype_is_integral(enum dtype dtype) { return dtype >= dtype_i8 && dtype <= dtype_u64; }

static enum dtype find(struct text name, size_t member) {
    for (int dtype = 0; dtype < dtype_count; dtype++) {
        const char *const names[] = {rows[dtype].abbreviation, rows[dtype].torch, rows[dtype].safetensors};
        if (text_is(name, names[member])) return (enum dtype)dtype;
    }
    return dtype_none;
}

enum dtype dtype_from_abbreviation(struct text name) { return find(name, 0); }
enum dtype dtype_from_torch_name(struct text name) { return find(name, 1); }
enum dtype dtype_from_safetensors_name(struct text name) { return find(name, 2); }

/* The order of categories in c10::promoteTypes: bool, integers, floats, complex. */
static int category(enum dtype dtype) {
    if (dtype_is_complex(dtype)) return 3;
    if (dtype_is_floating(dtype)) return 2;
    return dtype_is_integral(dtype) ? 1 : 0;
}

static enum dtype promote_integers(enum dtype a, enum dtype b) {
    bool unsigned_a = a >= dtype_u8, unsigned_b = b >= dtype_u8;
    if (unsigned_a == unsigned_b) return rows[a].bits >= rows[b].bits ? a : b;
    enum dtype plain = unsigned_a ? b : a, other = unsigned_a ? a : b; /* signed, unsigned */
    if (rows[plain].bits > rows[other].bits) return plain;
    static const enum dtype wider[] = {dtype_i16, dtype_i32, dtype_i64, dtype_i64};
    return wider[other - dtype_u8];
}

static enum dtype promote_floats(enum dtype a, enum dtype b) {
    if (rows[a].bits != rows[b].bits) return rows[a].bits > rows[b].bits ? a : b;
    return dtype_f32; /* f16 with bf16 */
}

enum dtype dtype_promote(enum dtype a, enum dtype b) {
    if (a == b || b == dtype_none) return a;
    if (a == dtype_none) return b;
    if (category(a) != category(b)) {
        enum dtype high = category(a) > category(b) ? a : b, low = high == a ? b : a;
        if (high == dtype_c64 && low == dtype_f64) return dtype_c128;
        return high;
    }
    switch (category(a)) {
    case 1:
        return promote_integers(a, b);
    case 2:
        return promote_floats(a, b);
    default:
        return rows[a].bits >= rows[b].bits ? a : b;
    }
}

bool device_equal(struct device a, struct device b) { return text_equal(a.type, b.type) && a.index == b.index; }

const struct type type_of_unknown = {.kind = type_unknown};
const struct type type_of_none = {.kind = type_none};
const struct type type_of_object = {.kind = type_object};

const struct type *type_make_tensor(struct arena *arena, enum dtype dtype, struct layout layout, struct device device) {
    struct type *type = arena_new(arena, struct type);
    *type = (struct type){.kind = type_tensor, .dtype = dtype, .device = device, .layout = layout};
    return type;
}

const struct type *type_make_integer(struct arena *arena, symint value) {
    struct type *type = arena_new(arena, struct type);
    *type = (struct type){.kind = type_integer, .integer = value};
    return type;
}

const struct type *type_make_tuple(struct arena *arena, const struct type *const *items, size_t count) {
    struct type *type = arena_new(arena, struct type);
    *type = (struct type){
        .kind = type_tuple, .items = arena_copy(arena, items, count * sizeof *items), .item_count = count};
    return type;
}

const symint *layout_contiguous_strides(struct arena *arena, struct symbols *symbols, const symint *sizes,
                                        size_t rank) {
    symint *strides = arena_array(arena, symint, rank), stride = symint_constant(symbols, 1);
    for (size_t i = rank; i-- > 0;) {
        strides[i] = stride;
        if (i && !symint_is(sizes[i], 0)) stride = symint_multiply(symbols, stride, sizes[i]);
    }
    return strides;
}

symint layout_count(struct symbols *symbols, const struct layout *layout) {
    symint count = symint_constant(symbols, 1);
    for (size_t i = 0; i < layout->rank; i++) count = symint_multiply(symbols, count, layout->sizes[i]);
    return count;
}

enum answer layout_same_sizes(struct symbols *symbols, const struct layout *a, const struct layout *b) {
    if (a->rank != b->rank) return answer_no;
    enum answer same = answer_yes;
    for (size_t i = 0; i < a->rank && same != answer_no; i++)
        same = answer_and(same, symint_equal(symbols, a->sizes[i], b->sizes[i]));
    return same;
}

enum answer layout_same(struct symbols *symbols, const struct layout *a, const struct layout *b) {
    enum answer same = layout_same_sizes(symbols, a, b);
    if (same == answer_no) return answer_no;
    if (!a->strides || !b->strides) return answer_unknown;
    for (size_t i = 0; i < a->rank && same != answer_no; i++) {
        if (symint_is(a->sizes[i], 1)) continue;
        same = answer_and(same, symint_equal(symbols, a->strides[i], b->strides[i]));
    }
    return same;
}

enum answer layout_contiguous(struct symbols *symbols, const struct layout *layout) {
    if (!layout->strides) return answer_unknown;
    symint expected = symint_constant(symbols, 1), one = expected;
    enum answer result = answer_yes;
    bool several = true; /* every size is surely more than 1, so that every stride counts, and nothing is empty */
    for (size_t i = layout->rank; i-- > 0;) {
        if (symint_is(layout->sizes[i], 1)) continue;
        several = several && symint_less(symbols, one, layout->sizes[i]) == answer_yes;
        result = answer_and(result, symint_equal(symbols, layout->strides[i], expected));
        expected = symint_multiply(symbols, expected, layout->sizes[i]);
    }
    return result == answer_no && !several ? answer_unknown : result;
}

static void print_list(struct builder *out, const symint *items, size_t count) {
    builder_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) builder_string(out, ", ");
        symint_print(out, items[i]);
    }
    builder_byte(out, ']');
}

void type_print(struct builder *out, const struct type *type) {
    if (type->kind == type_integer) {
        builder_string(out, "Sym(");
        symint_print(out, type->integer);
        builder_byte(out, ')');
    }
    if (type->kind != type_tensor) return;
    builder_string(out, dtype_abbreviation(type->dtype));
    print_list(out, type->layout.sizes, type->layout.rank);
    if (type->layout.strides) print_list(out, type->layout.strides, type->layout.rank);
    builder_add(out, type->device.type);
    if (type->device.type.length && type->device.index >= 0) builder_format(out, ":%d", type->device.index);
}

const char *type_string(struct arena *arena, const struct type *type) {
    struct builder out;
    builder_init(&out, arena);
    type_print(&out, type);
    return out.data;
}
