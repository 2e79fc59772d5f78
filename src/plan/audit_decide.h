/* Whether our placing needs a copy that Inductor made. */
#ifndef REGRAFT_PLAN_AUDIT_DECIDE_H
#define REGRAFT_PLAN_AUDIT_DECIDE_H

#include "plan/audit.h"

/* Places a functional graph (NULL: there is none); what cannot be placed leaves questions open. */
struct audit_placing *audit_place(struct context *context, struct graph *functional);
/* Sets needed, why and remedy of the copy that step `launch` makes. Copies are asked for in order: a copy of ours that
 * serves two of Inductor's is needed for the first. */
regraft_status audit_decide(struct audit *audit, size_t launch, struct audit_copy *copy);

#endif
