/* The text of a pipeline, and the passes that it names.
 *
 *     pipeline := pass ("," pass)*
 *     pass     := "default" | NAME [ "{" [parameter (separator parameter)*] "}" ]
 *     parameter:= NAME "=" value ("," value)*
 *
 * The separator is a space or a comma; a word behind a comma is one more value unless it has an "=" in it. */
#ifndef REGRAFT_PASS_PIPELINE_H
#define REGRAFT_PASS_PIPELINE_H

#include "pass/parameter.h"
#include "pass/pass.h"

struct step {
    const struct pass *pass;
    struct parameters parameters;
};
typedef VECTOR(struct step) step_list;

/* REGRAFT_USAGE with a message that points into the pipeline when something is wrong with it. */
regraft_status pipeline_parse(struct context *context, const char *pipeline, step_list *steps);

#endif
