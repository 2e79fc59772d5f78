/* The graphs of a rule: statements in FX syntax, read by the reader of graphs, and what the matcher needs of them. */
#include "ir/effect.h"
#include "rule/reading.h"

/* Behind this, node_variables counts variables of the match: names that a replacement does not define itself. */
enum { first_matched = 1 << 16 };

/* ---- names ---- */

static void bind_node(struct rule_reader *reader, const struct node *node, size_t variable) {
    while (reader->node_variables.count <= node->index)
        vector_push(reader->fx.context->arena, &reader->node_variables, SIZE_MAX);
    reader->node_variables.items[node->index] = variable;
    *map_slot_text(reader->variables, node->name) = (void *)(uintptr_t)(variable + 1);
}

/* SIZE_MAX: the graph that is being read defines no such name. */
static size_t find_variable(const struct rule_reader *reader, struct text name) {
    size_t variable = (size_t)(uintptr_t)map_get_text(reader->variables, name) - 1;
    return variable >= first_matched ? SIZE_MAX : variable;
}

regraft_status start_graph(struct rule_reader *reader, struct rule_graph *graph) {
    struct rule *rule = reader->rule;
    struct arena *arena = reader->fx.context->arena;
    reader->fx.graph = graph_create(reader->fx.context);
    reader->variables = map_create(arena);
    reader->node_variables.count = 0;
    for (size_t i = 0; i < rule->tensor_count; i++) {
        struct variable variable = rule->match.variables.items[i];
        if (graph != &rule->match) vector_push(arena, &graph->variables, variable);
        bind_node(reader, graph_insert(reader->fx.graph, NULL, node_placeholder, variable.name, 0), i);
    }
    for (size_t i = rule->tensor_count; graph != &rule->match && i < rule->match.variables.count; i++)
        bind_node(reader,
                  graph_insert(reader->fx.graph, NULL, node_placeholder, rule->match.variables.items[i].name, 0),
                  first_matched + i);
    return REGRAFT_OK;
}

/* ---- arguments ---- */

static regraft_status compile_value(struct rule_reader *reader, const struct node *call, const struct value *value,
                                    struct pattern *pattern);

static regraft_status compile_list(struct rule_reader *reader, const struct node *call, const struct value *value,
                                   struct pattern *pattern) {
    pattern->kind = pattern_list;
    pattern->count = value->list.count;
    pattern->items = arena_array(reader->fx.context->arena, struct pattern, pattern->count);
    for (size_t i = 0; i < pattern->count; i++)
        TRY(compile_value(reader, call, &value->list.items[i], &pattern->items[i]));
    return REGRAFT_OK;
}

static regraft_status compile_value(struct rule_reader *reader, const struct node *call, const struct value *value,
                                    struct pattern *pattern) {
    *pattern = (struct pattern){.kind = pattern_literal, .literal = value, .index = SIZE_MAX};
    switch (value->kind) {
    case value_node:
        pattern->kind = pattern_variable;
        pattern->index = reader->node_variables.items[value->use.node->index];
        if (pattern->index != SIZE_MAX && pattern->index >= first_matched) {
            pattern->kind = pattern_matched;
            pattern->index -= first_matched;
            return REGRAFT_OK;
        }
        if (pattern->index != SIZE_MAX) return REGRAFT_OK;
        return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, call->position,
                    "'%.*s' has several results; name each of them", TEXT_ARGS(value->use.node->name));
    case value_symint:
        *pattern = pattern_of_integer(reader, value->expression);
        return REGRAFT_OK;
    case value_name: {
        size_t attribute = find_attribute(reader, value->written);
        if (attribute == SIZE_MAX) return REGRAFT_OK; /* torch.strided and the like */
        pattern->kind = pattern_attribute;
        pattern->index = attribute;
        return REGRAFT_OK;
    }
    case value_list:
    case value_tuple:
        return compile_list(reader, call, value, pattern);
    default:
        return REGRAFT_OK;
    }
}

/* The index of the schema's argument that a value of the call is for. */
static regraft_status place_argument(struct rule_reader *reader, const struct node *call, size_t position,
                                     size_t *index) {
    const struct schema *schema = &call->operation->schema;
    const struct value *value = &call->arguments[position];
    *index = value->keyword.length ? schema_find_argument(schema, value->keyword) : position;
    if (*index < schema->argument_count) return REGRAFT_OK;
    const char *what = value->keyword.length ? "no argument of that name" : "fewer arguments";
    return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, call->position,
                "the operation has %s; its schema is %.*s", what, TEXT_ARGS(schema->text));
}

static regraft_status compile_arguments(struct rule_reader *reader, const struct node *call,
                                        struct rule_statement *statement) {
    const struct schema *schema = &call->operation->schema;
    statement->argument_count = schema->argument_count;
    statement->arguments = arena_array(reader->fx.context->arena, struct pattern, schema->argument_count);
    for (size_t i = 0; i < call->argument_count; i++) {
        size_t index;
        TRY(place_argument(reader, call, i, &index));
        if (statement->arguments[index].kind != pattern_default)
            return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, call->position, "'%.*s' is given twice",
                        TEXT_ARGS(schema->arguments[index].name));
        TRY(compile_value(reader, call, &call->arguments[i], &statement->arguments[index]));
    }
    for (size_t i = 0; i < schema->argument_count; i++)
        if (statement->arguments[i].kind == pattern_default && !schema->arguments[i].has_default)
            return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, call->position,
                        "the argument '%.*s' is missing; the schema is %.*s", TEXT_ARGS(schema->arguments[i].name),
                        TEXT_ARGS(schema->text));
    return REGRAFT_OK;
}

/* Forms that are no operation of a table, with the number of tensors that each takes. */
static const struct form {
    const char *name;
    enum statement_kind kind;
    size_t tensors;
} forms[] = {
    {"same_elements", statement_elements, 1}, {"broadcast", statement_broadcast, 1},
    {"same_shape", statement_shape, 2},       {"once_of_halves", statement_halves, 1},
    {"once_of_pairs", statement_pairs, 1},    {"row_numbers", statement_numbers, 1},
};

static const struct form *find_form(const struct node *call) {
    static const struct form same = {"", statement_same, 1};
    if (call->kind == node_rename) return &same;
    if (call->kind != node_call || call->in_torch_ops) return NULL;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (text_is(call->target, forms[i].name)) return &forms[i];
    return NULL;
}

static regraft_status compile_form(struct rule_reader *reader, const struct node *call, const struct form *form,
                                   struct rule_statement *statement) {
    statement->kind = form->kind;
    statement->argument_count = form->tensors;
    statement->arguments = arena_array(reader->fx.context->arena, struct pattern, form->tensors);
    for (size_t i = 0; i < form->tensors; i++) {
        if (call->argument_count != form->tensors || call->arguments[i].kind != value_node)
            return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, call->position, "expected %s, by name",
                        form->tensors == 1 ? "one tensor" : "two tensors");
        TRY(compile_value(reader, call, &call->arguments[i], &statement->arguments[i]));
    }
    return REGRAFT_OK;
}

static size_t result_count(const struct operation *operation) {
    size_t count = operation->schema.return_count;
    for (size_t i = 0; i < operation->schema.argument_count; i++) count += operation->schema.arguments[i].written;
    return count;
}

static regraft_status compile_call(struct rule_reader *reader, const struct node *call,
                                   struct rule_statement *statement) {
    struct diagnostics *diagnostics = &reader->fx.context->diagnostics;
    statement->position = call->position;
    const struct form *form = find_form(call);
    if (form) return compile_form(reader, call, form, statement);
    if (call->kind != node_call || !call->in_torch_ops)
        return fail(diagnostics, REGRAFT_REJECTED, call->position,
                    "expected a call of an operation, torch.ops.NAMESPACE.NAME.OVERLOAD(...), or of same_elements, "
                    "broadcast, same_shape, once_of_halves, once_of_pairs, row_numbers");
    if (!call->operation)
        return fail(diagnostics, REGRAFT_REJECTED, call->position,
                    "the operation '%.*s' is in no table; `regraft ops` lists them, --ops adds more",
                    TEXT_ARGS(call->target));
    statement->operation = call->operation;
    statement->kind = call->operation->class == class_view ? statement_view : statement_call;
    return compile_arguments(reader, call, statement);
}

/* ---- lines ---- */

struct names {
    struct text items[rule_most_names];
    const struct tensor_pattern *types[rule_most_names]; /* NULL: without */
    size_t count;
};

/* `: "T[tokens, width]"` behind the name of a result, with or without quotes. */
static regraft_status read_annotation(struct rule_reader *reader, const struct tensor_pattern **type) {
    struct cursor *cursor = rule_cursor(reader);
    *type = NULL;
    if (!cursor_accept(cursor, ':')) return REGRAFT_OK;
    bool quoted = cursor_accept(cursor, '"');
    TRY(read_tensor_type(reader, type));
    if (quoted && !cursor_accept(cursor, '"')) return cursor_expected(cursor, "'\"' behind a type");
    return REGRAFT_OK;
}

static regraft_status read_names(struct rule_reader *reader, struct names *names) {
    struct cursor *cursor = rule_cursor(reader);
    names->count = 0;
    do {
        cursor_skip_space(cursor);
        struct text name = cursor_name(cursor);
        if (!name.length) return cursor_expected(cursor, "a statement: NAME = torch.ops...");
        if (names->count == rule_most_names)
            return cursor_fail(cursor, name, "a statement has at most %d results", rule_most_names);
        TRY(read_annotation(reader, &names->types[names->count]));
        names->items[names->count++] = name;
    } while (cursor_accept(cursor, ','));
    if (!cursor_accept(cursor, '=')) return cursor_expected(cursor, "'=' behind the names of the results");
    return REGRAFT_OK;
}

/* Each name is new, or, behind `or`, the result of a statement above. */
static regraft_status check_names(struct rule_reader *reader, const struct rule_graph *graph, const struct names *names,
                                  bool alternative) {
    struct cursor *cursor = rule_cursor(reader);
    for (size_t i = 0; i < names->count; i++) {
        struct text name = names->items[i];
        size_t variable = find_variable(reader, name);
        if (text_is(name, "_")) continue;
        if (find_attribute(reader, name) != SIZE_MAX)
            return cursor_fail(cursor, name, "'%.*s' is declared as a value already", TEXT_ARGS(name));
        if (!alternative && variable != SIZE_MAX) {
            cursor_fail(cursor, name, "'%.*s' is defined twice; `or` in front of a statement makes it an alternative",
                        TEXT_ARGS(name));
            fail_note(&reader->fx.context->diagnostics, graph->variables.items[variable].position,
                      "first defined here");
            return REGRAFT_REJECTED;
        }
        if (alternative && (variable == SIZE_MAX || variable < reader->rule->tensor_count))
            return cursor_fail(cursor, name,
                               "'or' gives another definition of the result of a statement above; "
                               "'%.*s' is none",
                               TEXT_ARGS(name));
    }
    return REGRAFT_OK;
}

/* The node of the statement in the reader's graph, under a name that nobody can use. */
static regraft_status read_call(struct rule_reader *reader, const struct names *names, struct node **call) {
    struct statement statement = {.type = &type_of_unknown};
    size_t base = reader->fx.stack.count;
    struct text first = names->items[0];
    TRY(reader_right_side(&reader->fx, &statement));
    statement.name = text_of(text_format(reader->fx.context->arena, "statement %u", reader->fx.graph->node_limit));
    TRY(reader_add_node(&reader->fx, &statement, reader->fx.stack.count - base, call));
    (*call)->position = cursor_position(rule_cursor(reader), first);
    return REGRAFT_OK;
}

static void define(struct rule_reader *reader, struct rule_graph *graph, struct rule_statement *statement,
                   const struct names *names) {
    struct arena *arena = reader->fx.context->arena;
    statement->result_count = names->count;
    statement->results = arena_array(arena, size_t, names->count);
    for (size_t i = 0; i < names->count; i++) {
        struct text name = names->items[i];
        size_t variable = find_variable(reader, name);
        statement->results[i] = SIZE_MAX;
        if (text_is(name, "_")) continue;
        if (variable == SIZE_MAX) {
            if (graph_find(reader->fx.graph, name))
                *map_slot_text(reader->fx.graph->names, name) = NULL; /* the match's */
            struct variable fresh = {.name = name,
                                     .position = cursor_position(rule_cursor(reader), name),
                                     .type = names->types[i],
                                     .other = SIZE_MAX};
            variable = graph->variables.count;
            vector_push(arena, &graph->variables, fresh);
            bind_node(reader, graph_insert(reader->fx.graph, NULL, node_placeholder, name, 0), variable);
        }
        statement->results[i] = variable;
        struct definition definition = {graph->statements.count, i};
        vector_push(arena, &graph->variables.items[variable].definitions, definition);
    }
    vector_push(arena, &graph->statements, *statement);
}

regraft_status read_statement_line(struct rule_reader *reader, struct rule_graph *graph) {
    struct cursor *cursor = rule_cursor(reader), probe = *cursor;
    struct names *names = arena_new(reader->fx.context->arena, struct names);
    struct rule_statement statement = {0};
    struct node *call;
    bool alternative = cursor_accept_word(&probe, "or") && byte_is_space(cursor_peek(&probe));
    if (alternative) cursor->at = probe.at;
    TRY(read_names(reader, names));
    TRY(check_names(reader, graph, names, alternative));
    if (graph->statements.count == rule_most_statements)
        return cursor_fail(cursor, names->items[0], "a graph of a rule has at most %d statements",
                           rule_most_statements);
    TRY(read_call(reader, names, &call));
    TRY(compile_call(reader, call, &statement));
    statement.text = (struct text){names->items[0].data, (size_t)(cursor->at - names->items[0].data)};
    TRY(read_remedy(reader, &statement.remedy));
    if (statement.remedy.length && graph == &reader->rule->replace)
        return cursor_fail(cursor, statement.remedy, "a replacement has no `else`");
    size_t expected = statement.kind == statement_call ? result_count(statement.operation) : 1;
    bool list = statement.kind == statement_view && statement.operation->schema.returns[0].list;
    if (!list && expected != names->count)
        return cursor_fail(
            cursor, names->items[0],
            "the operation has %zu result%s, what it returns and then what it writes; found %zu name%s (_ is "
            "one that is not needed)",
            expected, expected == 1 ? "" : "s", names->count, names->count == 1 ? "" : "s");
    define(reader, graph, &statement, names);
    return REGRAFT_OK;
}

/* ---- the whole ---- */

enum { most_variables = rule_most_names + rule_most_statements * 8 };

static bool uses(const struct pattern *pattern, size_t variable) {
    if (pattern->kind == pattern_variable) return pattern->index == variable;
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++)
        if (uses(&pattern->items[i], variable)) return true;
    return false;
}

bool statement_uses(const struct rule_statement *statement, size_t variable) {
    for (size_t i = 0; i < statement->argument_count; i++)
        if (uses(&statement->arguments[i], variable)) return true;
    return false;
}

/* The rarer its operation, the better a search begins there; 0: not at all. */
static int rarity(const struct rule_graph *graph, const bool *sure, size_t index) {
    const struct rule_statement *statement = &graph->statements.items[index];
    if (statement->kind != statement_call) return 0;
    for (size_t i = 0; i < statement->result_count; i++) { /* not one of several alternatives */
        size_t result = statement->results[i];
        if (result != SIZE_MAX && (!sure[result] || graph->variables.items[result].definitions.count > 1)) return 0;
    }
    switch (statement->operation->id) {
    case operation_aten_rsqrt_default:
    case operation_aten_neg_default:
    case operation_aten_exp_default:
    case operation_aten_silu_default:
    case operation_aten_sigmoid_default:
        return 3;
    case operation_aten_add_Tensor:
    case operation_aten_mul_Tensor:
    case operation_aten_clone_default:
    case operation_prims_convert_element_type_default:
        return 1;
    default:
        return statement->operation->effect != effect_none ? 5 : statement->operation->class == class_call ? 4 : 2;
    }
}

/* All variables that are bound once the variable is, going to what it is made of; with `or`, what each way binds. */
static void reach(const struct rule_graph *graph, bool *reached, size_t variable);

static void reach_pattern(const struct rule_graph *graph, bool *reached, const struct pattern *pattern) {
    if (pattern->kind == pattern_variable) reach(graph, reached, pattern->index);
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++)
        reach_pattern(graph, reached, &pattern->items[i]);
}

static void reach_statement(const struct rule_graph *graph, bool *reached, const struct rule_statement *statement) {
    for (size_t i = 0; i < statement->result_count; i++)
        if (statement->results[i] != SIZE_MAX) reached[statement->results[i]] = true;
    for (size_t i = 0; i < statement->argument_count; i++) reach_pattern(graph, reached, &statement->arguments[i]);
}

static void reach(const struct rule_graph *graph, bool *reached, size_t variable) {
    if (reached[variable]) return;
    reached[variable] = true;
    for (size_t i = 0; i < graph->variables.items[variable].definitions.count; i++)
        reach_statement(graph, reached,
                        &graph->statements.items[graph->variables.items[variable].definitions.items[i].statement]);
}

static bool uses_some(const struct pattern *pattern, const bool *set) {
    if (pattern->kind == pattern_variable) return set[pattern->index];
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++)
        if (uses_some(&pattern->items[i], set)) return true;
    return false;
}

/* How many of the variable's definitions use something of the set. */
static size_t count_uses(const struct rule_graph *graph, size_t variable, const bool *set) {
    const struct variable *wanted = &graph->variables.items[variable];
    size_t count = 0;
    for (size_t i = 0; i < wanted->definitions.count; i++) {
        const struct rule_statement *statement = &graph->statements.items[wanted->definitions.items[i].statement];
        bool some = false;
        for (size_t k = 0; k < statement->argument_count && !some; k++) some = uses_some(&statement->arguments[k], set);
        count += some;
    }
    return count;
}

/* A variable that is not reached, and is found above what is, whichever of its definitions holds: one that is always there. Else
 * one that uses something reached, perhaps. SIZE_MAX: none. */
static size_t next_climb(const struct rule_graph *graph, const bool *reached, const bool *sure, bool *always) {
    bool above[most_variables];
    memcpy(above, reached, graph->variables.count * sizeof *above);
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t v = 0; v < graph->variables.count; v++) {
            size_t count = graph->variables.items[v].definitions.count;
            if (above[v] || !count || count_uses(graph, v, above) != count) continue;
            if (sure[v]) return v;
            changed = above[v] = true;
        }
    }
    *always = false;
    for (size_t v = 0; v < graph->variables.count; v++)
        if (!reached[v] && count_uses(graph, v, reached)) return v;
    return SIZE_MAX;
}

/* ---- what is always there ---- */

/* For every variable the set of those that are there whenever it is, as rows of `count` truth values. */
struct needs {
    const struct rule_graph *graph;
    size_t count;
    bool *rows;
};

static void add_needs_of(const struct needs *needs, const struct pattern *pattern, bool *set) {
    if (pattern->kind == pattern_variable)
        for (size_t v = 0; v < needs->count; v++) set[v] = set[v] || needs->rows[pattern->index * needs->count + v];
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++)
        add_needs_of(needs, &pattern->items[i], set);
}

/* Takes from the row what one of the variable's definitions does without; whether that changed it. */
static bool narrow_needs(const struct needs *needs, size_t variable, bool *set) {
    const struct variable *needy = &needs->graph->variables.items[variable];
    bool *row = &needs->rows[variable * needs->count], changed = false;
    if (!needy->definitions.count) { /* needs itself alone */
        memset(set, 0, needs->count * sizeof *set);
        for (size_t v = 0; v < needs->count; v++) row[v] = v == variable;
    }
    for (size_t i = 0; i < needy->definitions.count; i++) {
        const struct rule_statement *statement = &needs->graph->statements.items[needy->definitions.items[i].statement];
        memset(set, 0, needs->count * sizeof *set);
        set[variable] = true;
        for (size_t k = 0; k < statement->argument_count; k++) add_needs_of(needs, &statement->arguments[k], set);
        for (size_t v = 0; v < needs->count; v++) {
            changed = changed || (row[v] && !set[v]);
            row[v] = row[v] && set[v];
        }
    }
    return changed;
}

/* Which variables are there in every match: what the last results need, whatever alternatives are taken. */
static bool *find_sure(struct rule_reader *reader) {
    const struct rule_graph *graph = &reader->rule->match;
    struct needs needs = {graph, graph->variables.count, NULL};
    bool *set = arena_array(reader->fx.context->arena, bool, needs.count), changed = true;
    bool *sure = arena_array(reader->fx.context->arena, bool, needs.count);
    needs.rows = arena_array(reader->fx.context->arena, bool, needs.count *needs.count);
    for (size_t i = 0; i < needs.count * needs.count; i++) needs.rows[i] = true;
    while (changed) {
        changed = false;
        for (size_t v = 0; v < needs.count; v++) changed = narrow_needs(&needs, v, set) || changed;
    }
    for (size_t v = 0; v < needs.count; v++) {
        bool used = false;
        for (size_t i = 0; i < graph->statements.count && !used; i++)
            used = statement_uses(&graph->statements.items[i], v);
        for (size_t k = 0; !used && k < needs.count; k++) sure[k] = sure[k] || needs.rows[v * needs.count + k];
    }
    return sure;
}

/* ---- the way of a search ---- */

/* The variables to climb to from an anchor; false when one of them may not be there. */
static bool way_from(struct rule_reader *reader, size_t anchor, const bool *sure, bool *reached) {
    struct rule *rule = reader->rule;
    bool always = true;
    rule->anchor = anchor;
    rule->climb.count = 0;
    memset(reached, 0, most_variables * sizeof *reached);
    reach_statement(&rule->match, reached, &rule->match.statements.items[anchor]);
    for (;;) {
        bool certain = true;
        size_t next = next_climb(&rule->match, reached, sure, &certain);
        if (next == SIZE_MAX) return always;
        always = always && certain;
        vector_push(reader->fx.context->arena, &rule->climb, next);
        reach(&rule->match, reached, next);
    }
}

/* The rarest operation is the anchor, unless what may not be there would have to be found from it. */
static regraft_status find_way(struct rule_reader *reader) {
    struct rule *rule = reader->rule;
    struct rule_graph *graph = &rule->match;
    struct diagnostics *diagnostics = &reader->fx.context->diagnostics;
    bool reached[most_variables], found = false;
    int best = 0;
    if (graph->variables.count > most_variables)
        return fail(diagnostics, REGRAFT_REJECTED, rule->position, "the match has too many names");
    const bool *sure = find_sure(reader);
    for (size_t i = 0; i < graph->statements.count; i++)
        if (rarity(graph, sure, i) && rarity(graph, sure, i) >= best) best = rarity(graph, sure, i), rule->anchor = i;
    if (!best)
        return fail(diagnostics, REGRAFT_REJECTED, rule->position,
                    "the match has no operation that is always there; a search has to begin at one");
    for (size_t i = 0; i < graph->statements.count; i++) rule->calls += rarity(graph, sure, i) > 0;
    size_t rarest = rule->anchor;
    for (int wanted = best; wanted > 0 && !found; wanted--)
        for (size_t i = graph->statements.count; i-- > 0 && !found;)
            found = rarity(graph, sure, i) == wanted && way_from(reader, i, sure, reached);
    if (!found) way_from(reader, rarest, sure, reached);
    for (size_t i = 0; i < graph->variables.count; i++)
        if (!reached[i])
            return fail(diagnostics, REGRAFT_REJECTED, graph->variables.items[i].position,
                        "'%.*s' hangs together with nothing else that is matched",
                        TEXT_ARGS(graph->variables.items[i].name));
    return REGRAFT_OK;
}

/* What both graphs define under one name is replaced. */
static regraft_status join_names(struct rule_reader *reader) {
    struct rule *rule = reader->rule;
    bool any = false;
    for (size_t r = rule->tensor_count; r < rule->replace.variables.count; r++)
        for (size_t m = rule->tensor_count; m < rule->match.variables.count; m++) {
            if (!text_equal(rule->replace.variables.items[r].name, rule->match.variables.items[m].name)) continue;
            rule->replace.variables.items[r].other = m;
            rule->match.variables.items[m].other = r;
            any = true;
        }
    if (any) return REGRAFT_OK;
    return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, rule->position,
                "the replacement defines nothing that is matched; a result that it replaces has the same name in both");
}

static bool is_matched(const struct pattern *pattern) {
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++)
        if (is_matched(&pattern->items[i])) return true;
    return pattern->kind == pattern_matched;
}

static regraft_status check_forms(struct rule_reader *reader, const struct rule_graph *graph) {
    bool replaces = graph == &reader->rule->replace;
    for (size_t i = 0; i < graph->statements.count; i++) {
        const struct rule_statement *statement = &graph->statements.items[i];
        enum statement_kind kind = statement->kind;
        const char *wrong = NULL;
        if (replaces && (kind == statement_elements || kind == statement_broadcast))
            wrong = "this says what is matched; in a replacement write the view, aten.reshape or same_shape(x, y)";
        if (!replaces && kind >= statement_shape && kind <= statement_numbers)
            wrong = "this is for replacements; same_elements and the conditions repeats_... are for matches";
        for (size_t k = 0; k < statement->argument_count; k++)
            if (is_matched(&statement->arguments[k]) && !(kind == statement_shape && k == 1))
                wrong = "a result of the match is no value here; it can only be the second argument of same_shape";
        if (wrong) return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, statement->position, "%s", wrong);
    }
    return REGRAFT_OK;
}

static regraft_status check_replacement(struct rule_reader *reader) {
    const struct rule *rule = reader->rule;
    TRY(check_forms(reader, &rule->match));
    TRY(check_forms(reader, &rule->replace));
    for (size_t i = rule->tensor_count; i < rule->replace.variables.count; i++)
        if (rule->replace.variables.items[i].definitions.count > 1)
            return fail(&reader->fx.context->diagnostics, REGRAFT_REJECTED, rule->replace.variables.items[i].position,
                        "a replacement has no alternatives");
    return REGRAFT_OK;
}

regraft_status finish_graphs(struct rule_reader *reader) {
    TRY(check_replacement(reader));
    TRY(join_names(reader));
    return find_way(reader);
}
