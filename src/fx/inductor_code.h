/* Inductor's output code (stage inductor_output_code of a trace log): the kernels that it generated and the steps of
 * the Python function that runs them.
 *
 * Reading never fails: what is not understood is a kernel of kind `kernel_unknown`, or a step left out. Of a kernel we
 * find out what each of its stores writes, by following values from the loads through its body. */
#ifndef REGRAFT_FX_INDUCTOR_CODE_H
#define REGRAFT_FX_INDUCTOR_CODE_H

#include "base/map.h"
#include "fx/inductor_scan.h"
#include "ir/type.h"

/* What a store writes, or a kernel all in all: the last of its stores' kinds in this order. */
enum kernel_kind {
    kernel_fills,    /* constants */
    kernel_moves,    /* elements as they were loaded, chosen by their indices alone; constants may stand among them */
    kernel_converts, /* the same in another element type */
    kernel_computes,
    kernel_unknown,
    kernel_kind_count
};
const char *kernel_kind_name(enum kernel_kind kind);

enum kernel_language { language_triton, language_cpp, language_other };

struct kernel_parameter {
    struct text name;
    bool pointer;
    enum dtype dtype; /* of what it points to; dtype_none when not known */
};

/* A store in a kernel's body. It writes as many elements as the product of `extents`, which are expressions over
 * numbers and the kernel's parameters. */
struct kernel_store {
    enum kernel_kind kind;
    size_t parameter;
    size_t part;  /* which of the kernels that were combined into this one; of C++, which outermost loop */
    bool repeats; /* writes what another store wrote as well: nothing more is read for it */
    struct text value;
    struct text_list extents;
};

struct inductor_kernel {
    struct text name;
    enum kernel_language language;
    enum kernel_kind kind;
    struct text body;          /* between its quotes */
    struct text_list fragment; /* the FX nodes named in the comment above it */
    size_t parts;
    VECTOR(struct kernel_parameter) parameters;
    VECTOR(struct kernel_store) stores;
};

enum step_kind {
    step_launch,   /* of a generated kernel */
    step_call,     /* of anything else that takes buffers: extern_kernels.mm, torch.ops.* */
    step_allocate, /* result = empty_strided_cuda(...) */
    step_reuse,    /* result takes over the memory of arguments[0], whose contents are dead */
    step_alias,    /* result is another view of arguments[0], or a name for it */
    step_define    /* result = expression: a size */
};

struct inductor_step {
    enum step_kind kind;
    struct text result;             /* "" when there is none */
    struct text target;             /* "extern_kernels.mm", "torch.ops._C.rms_norm.default" */
    struct text_list arguments;     /* as written; with keywords */
    struct text sources;            /* "split, rms_norm_1": the names in the comment above, in the graph of Dynamo */
    struct inductor_kernel *kernel; /* of a launch; NULL when the text has none of that name */
};

struct inductor_code {
    VECTOR(struct inductor_kernel *) kernels;
    VECTOR(struct inductor_step) steps; /* in order of execution: partitions stand where they are called */
};

void inductor_read(struct arena *arena, struct text text, struct inductor_code *code);

/* Of a reinterpret_tensor(...) or a plain name: the buffer. */
struct text inductor_buffer(struct text argument);

#endif
