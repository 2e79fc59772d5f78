/* Where the modules of an FX text start. */
#include "fx/fx.h"

static struct text line_at(struct text text, const char *at) {
    struct text line = text_skip(text, (size_t)(at - text.data));
    const char *newline = line.length ? memchr(line.data, '\n', line.length) : NULL;
    if (newline) line.length = (size_t)(newline - line.data);
    return line;
}

static bool ends_with(struct text text, const char *suffix) {
    size_t length = strlen(suffix);
    while (text.length && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t')) text.length--;
    return text.length >= length && memcmp(text.data + text.length - length, suffix, length) == 0;
}

/* Where `class` or `def` stands in the line, when a module at the outermost level starts here. Logs print the name of a file
 * before it: ` /usr/lib/python3/torch/fx/_lazy_graph_module.py class <lambda>(torch.nn.Module):`. */
static const char *module_in(struct text line) {
    if (text_starts_with(line, "def forward(")) return line.data;
    if (!line.length || *line.data == '\t' || (*line.data == ' ' && line.length > 1 && line.data[1] == ' '))
        return NULL;
    if (!ends_with(line, "(torch.nn.Module):")) return NULL;
    for (size_t i = 0; i < line.length && line.data[i] != '#' && line.data[i] != '"'; i++)
        if (text_starts_with(text_skip(line, i), "class ") && (i == 0 || line.data[i - 1] == ' '))
            return i == 1 ? NULL : line.data + i;
    return NULL;
}

const char *fx_find_module(struct text text, const char *from) {
    const char *end = text.data + text.length;
    while (from < end) {
        struct text line = line_at(text, from);
        const char *module = module_in(line);
        if (module) return module;
        from = line.data + line.length + 1;
    }
    return NULL;
}
