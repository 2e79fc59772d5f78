/* Trace logs: what TORCH_TRACE writes. */
#ifndef REGRAFT_FX_TRACE_H
#define REGRAFT_FX_TRACE_H

#include "fx/fx.h"

/* Whether the text has a record: a log prefix with a JSON object behind it. */
bool trace_recognize(struct text text);
/* Finds the graphs in file->source. */
regraft_status trace_read(struct context *context, struct file *file);
/* The payload of a record without the tab in front of each line. */
struct text trace_payload(struct arena *arena, struct text raw);

#endif
