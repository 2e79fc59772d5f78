/* A peer in a process of its own, which is told on its standard input what to run and answers with times. */
#ifndef REGRAFT_BENCH_PEER_H
#define REGRAFT_BENCH_PEER_H

#include "arms.h"

struct peer;

/* Starts `command` for a shape; NULL when there is no command or it cannot run this shape, which it then explains itself. */
struct peer *peer_start(const char *command, const struct tensors *tensors);
/* Microseconds of one of `calls` calls. */
double peer_run(struct peer *peer, int64_t tokens, int cold, int calls);
void peer_stop(struct peer *peer);

#endif
