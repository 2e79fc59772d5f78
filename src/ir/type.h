/* Types of values: element type, symbolic sizes and strides, device. */
#ifndef REGRAFT_IR_TYPE_H
#define REGRAFT_IR_TYPE_H

#include "base/symint.h"

enum dtype {
#define DTYPE(name, abbreviation, torch, safetensors, bits) dtype_##name,
#include "ir/dtype.def"
#undef DTYPE
    dtype_count,
    dtype_none = dtype_count
};

const char *dtype_abbreviation(enum dtype dtype); /* "bf16", as annotations print it */
const char *dtype_torch_name(enum dtype dtype);   /* "bfloat16", without "torch." */
const char *dtype_safetensors_name(enum dtype dtype);
size_t dtype_size(enum dtype dtype); /* bytes of one element */
bool dtype_is_floating(enum dtype dtype);
bool dtype_is_complex(enum dtype dtype);
/* The type of the real and the imaginary part, and the other way round; dtype_none for others. */
enum dtype dtype_part(enum dtype dtype);
enum dtype dtype_of_pairs(enum dtype dtype);
bool dtype_is_integral(enum dtype dtype); /* bool is not */
/* dtype_none when there is no such name. */
enum dtype dtype_from_abbreviation(struct text name);
enum dtype dtype_from_torch_name(struct text name);
enum dtype dtype_from_safetensors_name(struct text name);
/* The type that PyTorch computes a mix of two tensors (of at least one dimension each) in: c10::promoteTypes. */
enum dtype dtype_promote(enum dtype a, enum dtype b);

/* `cpu`, `cuda:0`: the type is "" when it was not printed; index -1 when there is none. */
struct device {
    struct text type;
    int index;
};
bool device_equal(struct device a, struct device b);

/* How the elements of a tensor lie in its storage, in elements. `strides` is NULL when the text does not show them. */
struct layout {
    size_t rank;
    const symint *sizes, *strides;
};

enum type_kind {
    type_unknown, /* the result of an unknown operation without annotation */
    type_none,    /* Python's None */
    type_tensor,
    type_integer, /* a symbolic integer: `Sym(s72)` */
    type_tuple,   /* the result of a call with several results; a list of tensors */
    type_object   /* an opaque object, such as the name of a layer */
};

struct type {
    enum type_kind kind;
    enum dtype dtype;                /* tensor */
    struct device device;            /* tensor */
    struct layout layout;            /* tensor */
    symint integer;                  /* integer */
    const struct type *const *items; /* tuple */
    size_t item_count;
};

extern const struct type type_of_unknown, type_of_none, type_of_object;

const struct type *type_make_tensor(struct arena *arena, enum dtype dtype, struct layout layout, struct device device);
const struct type *type_make_integer(struct arena *arena, symint value);
/* The array of items is copied. */
const struct type *type_make_tuple(struct arena *arena, const struct type *const *items, size_t count);

/* Row-major strides for sizes; a dimension of size 0 counts as 1, as in PyTorch. (Where a symbolic size turns out to be 0
 * the tensor is empty, and its strides address nothing.) */
const symint *layout_contiguous_strides(struct arena *arena, struct symbols *symbols, const symint *sizes, size_t rank);
/* The number of elements. */
symint layout_count(struct symbols *symbols, const struct layout *layout);
/* Whether two layouts address the same elements in the same order: equal sizes, and equal strides but for dimensions of
 * size 1. Unknown when a size or stride cannot be compared or is not known. */
enum answer layout_same(struct symbols *symbols, const struct layout *a, const struct layout *b);
enum answer layout_same_sizes(struct symbols *symbols, const struct layout *a, const struct layout *b);
/* Whether the elements lie row-major without gaps (dimensions of size 1 do not count). */
enum answer layout_contiguous(struct symbols *symbols, const struct layout *layout);

/* `bf16[s72, 64][64, 1]cuda:0`, `Sym(s72)`, as in annotations, without the quotes. Adds nothing for other kinds. */
void type_print(struct builder *out, const struct type *type);
const char *type_string(struct arena *arena, const struct type *type);

#endif
