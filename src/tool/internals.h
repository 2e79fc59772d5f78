/* Beyond the public interface: what `list`, `run` and `check` need of the library's inside. */
#ifndef REGRAFT_TOOL_INTERNALS_H
#define REGRAFT_TOOL_INTERNALS_H

#include "fx/fx.h"
#include "tool/tool.h"

struct context *tool_context(const struct tool *tool);
struct graph *tool_graph(regraft_graph *graph);

/* A file with its graphs not parsed yet. */
regraft_status tool_read_container(struct tool *tool, const char *path, struct file **file);

#endif
