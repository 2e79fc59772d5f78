/* Results and comparisons, as text and as JSON. */
#include "tool/outcome.h"

#include <math.h>

void outcome_print(struct builder *out, const struct tensor_set *results) {
    struct arena *arena = out->arena;
    struct table table;
    table_init(&table, arena, 3);
    for (size_t i = 0; i < results->items.count; i++) {
        const struct named_tensor *item = results->items.items[i];
        table_row(&table, text_string(arena, item->name), dtype_abbreviation(item->tensor.dtype),
                  shape_print(arena, &item->tensor.shape));
    }
    table_print(out, &table);
}

static json_t *integers_json(const int64_t *items, size_t count) {
    json_t *result = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(result, json_integer(items[i]));
    return result;
}

json_t *outcome_json(const struct tensor_set *results) {
    json_t *result = json_array();
    for (size_t i = 0; i < results->items.count; i++) {
        const struct named_tensor *item = results->items.items[i];
        json_array_append_new(result, json_pack("{s:o, s:s, s:o}", "name", json_text(item->name), "dtype",
                                                dtype_abbreviation(item->tensor.dtype), "sizes",
                                                integers_json(item->tensor.shape.sizes, item->tensor.shape.rank)));
    }
    return result;
}

/* JSON has no infinity and no NaN. */
static json_t *real_json(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *row_json(const struct comparison_row *row) {
    json_t *result =
        json_pack("{s:o, s:b, s:o, s:o, s:o}", "name", json_text(row->name), "equal", row->equal, "norm",
                  real_json(row->norm), "tolerance", real_json(row->tolerance), "note", json_words(row->note));
    if (row->worst)
        json_object_set_new(result, "worst",
                            json_pack("{s:o, s:o, s:o}", "index", integers_json(row->worst, row->rank), "found",
                                      real_json(row->found), "expected", real_json(row->expected)));
    return result;
}

json_t *comparison_json(const struct comparison *comparison) {
    json_t *rows = json_array();
    for (size_t i = 0; i < comparison->rows.count; i++)
        json_array_append_new(rows, row_json(&comparison->rows.items[i]));
    return json_pack("{s:b, s:o}", "equal", comparison->equal, "tensors", rows);
}

regraft_status tool_interpret(struct tool *tool, regraft_graph *graph, const struct bindings *bindings,
                              struct outcome *outcome) {
    return tool_report(tool, interpret(tool_graph(graph), bindings, tool->arena, outcome));
}
