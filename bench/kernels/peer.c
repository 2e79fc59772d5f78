#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct peer {
    pid_t process;
    FILE *to, *from;
};

static struct peer *spawn(const char *command) {
    int to[2], from[2];
    struct peer *peer = malloc(sizeof *peer);
    if (!peer || pipe(to) || pipe(from)) exit(1);
    peer->process = fork();
    if (peer->process == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    return peer;
}

static int answer(struct peer *peer, char *line, int size) {
    fflush(peer->to);
    return fgets(line, size, peer->from) != NULL;
}

struct peer *peer_start(const char *command, const struct tensors *tensors) {
    const struct shape *shape = &tensors->shape;
    char line[256];
    if (!command || !*command) return NULL;
    struct peer *peer = spawn(command);
    fprintf(peer->to, "shape %d %d %d %d %d %d %d %d %d\n", (int)shape->query_heads, (int)shape->key_heads,
            (int)shape->head_size, (int)shape->rotary, (int)shape->rank, (int)shape->interleaved,
            shape->cache.type == REGRAFT_FP8_E4M3, (int)tensors->tokens, (int)tensors->rows);
    if (answer(peer, line, sizeof line) && strncmp(line, "ready", 5) == 0) return peer;
    peer_stop(peer);
    return NULL;
}

double peer_run(struct peer *peer, int64_t tokens, int cold, int calls) {
    char line[256];
    fprintf(peer->to, "run %d %d %d\n", (int)tokens, cold, calls);
    if (answer(peer, line, sizeof line)) return atof(line);
    fprintf(stderr, "bench: the peer ended\n");
    exit(1);
}

void peer_stop(struct peer *peer) {
    if (!peer) return;
    fclose(peer->to);
    fclose(peer->from);
    waitpid(peer->process, NULL, 0);
    free(peer);
}
