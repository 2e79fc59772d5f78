/* What a trace log tells about one compiled frame beside the graphs: the ranges of its symbols and the memory of its inputs. */
#ifndef REGRAFT_FX_FRAME_H
#define REGRAFT_FX_FRAME_H

#include <jansson.h>

#include "fx/fx.h"

struct frame *frame_create(struct arena *arena);
/* The bodies of records: {"symbol": "s72", "val": "2048", "vr": "[2, int_oo]"} */
void frame_add_symbol(struct frame *frame, const json_t *record);
/* {"describer_id": 0, "id": 5, "storage": 2, "size": [2048], "stride": [1]}: a tensor that was an input */
void frame_add_tensor(struct frame *frame, const json_t *record);
/* {"describer_id": 0, "id": 5, "source": "L['positions']"}: which input it was */
void frame_add_source(struct frame *frame, const json_t *record);
/* The text of the frame's dynamo_output_graph, which has the inputs in order. */
void frame_set_inputs(struct frame *frame, struct text dynamo_graph);

void frame_narrow_symbols(struct context *context, const struct frame *frame);
/* Fills graph->input_memory when every placeholder of the graph is surely the frame's input in the same position. */
void frame_describe_inputs(struct context *context, const struct frame *frame, struct graph *graph);

#endif
