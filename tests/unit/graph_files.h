/* Walking over the captured graphs. A file that includes this defines _XOPEN_SOURCE 700 first. */
#ifndef REGRAFT_TESTS_GRAPH_FILES_H
#define REGRAFT_TESTS_GRAPH_FILES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls `visit` for every text and packed file below `folder`, in order of their names. */
static inline void each_graph(const char *folder, void (*visit)(const char *path, void *user), void *user) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        size_t length = strlen(path);
        bool hidden = entries[i]->d_name[0] == '.', text = length > 4 && !strcmp(path + length - 4, ".txt");
        bool packed = length > 3 && !strcmp(path + length - 3, ".gz"), file = strchr(entries[i]->d_name, '.') != NULL;
        if (!hidden && !file)
            each_graph(path, visit, user);
        else if (!hidden && (text || packed))
            visit(path, user);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

#endif
