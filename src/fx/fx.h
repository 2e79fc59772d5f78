/* Readers and the printer for PyTorch's formats: FX text and trace logs (TORCH_TRACE), plain or gzip.
 *
 * A file holds graphs, a graph has stages. In FX text each module that stands at the outermost level is a graph with the
 * one stage "text". In a trace log a graph is one compilation, and its stages are the texts along the pipeline. */
#ifndef REGRAFT_FX_FX_H
#define REGRAFT_FX_FX_H

#include "ir/graph.h"

struct stage {
    struct text name; /* "text", "before_post_grad_graph", "inductor_output_code", ... */
    struct text raw;  /* in the file; in a log each line still has its tab in front */
    bool is_graph;    /* false: some other text, kept beside the graphs */
    bool is_aten;     /* a graph of ATen operations: what AOTAutograd gave, or later */
};

struct frame; /* frame.h: what a log tells about the symbols and the inputs of one compiled frame */

/* A graph of a file, not read yet. */
struct file_graph {
    struct text name; /* the module's; in a log the compile id: "0/0", "rank 1, 0/0" */
    VECTOR(struct stage) stages;
    const struct frame *frame; /* of a log; else NULL */
};

enum file_kind { file_text, file_log };

struct file {
    struct source source; /* after decompression and cleaning */
    enum file_kind kind;
    VECTOR(struct file_graph) graphs;
};

/* Reads a file ("-": standard input) without parsing its graphs; at least one graph is in it. */
regraft_status file_read(struct context *context, const char *path, struct file **file);
/* The same from memory; the bytes are copied. */
regraft_status file_read_memory(struct context *context, const char *name, struct text bytes, struct file **file);
/* REGRAFT_USAGE when the file has no graph of that number. */
regraft_status file_check_index(struct context *context, const struct file *file, size_t index);
/* Parses one graph of the file; `index` -1: the first. `stage` NULL: of FX text its only one, of a log the last one at
 * ATen level that is still functional: no call in it writes its arguments, but for copies into inputs at the end. */
regraft_status file_graph(struct context *context, struct file *file, int index, const char *stage,
                          struct graph **graph);
/* The text of a stage as it was logged. */
struct text stage_text(const struct context *context, const struct file *file, const struct stage *stage);

/* ---- FX text ---- */

/* Parses the module that stands in `part` of the source. */
regraft_status fx_parse(struct context *context, const struct source *source, struct text part, struct graph **graph);
/* Only the placeholders of the module. */
regraft_status fx_parse_signature(struct context *context, const struct source *source, struct text part,
                                  struct graph **graph);
/* Prints a graph as torch.fx does; of a graph that was not changed since it was read, what was read. */
void graph_print(struct graph *graph, struct builder *out);
/* Where the next module at the outermost level starts, at its `class` or `def`, in the lines from `from` on; NULL: none. */
const char *fx_find_module(struct text text, const char *from);

#endif
