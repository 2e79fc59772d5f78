/* A call of an operation that is made of others: taken for the spelling of it that the leading graph has. What each spelling
 * gives is worked out on the call's own arguments, so nothing is taken for granted but the meaning itself. */
#include "proof/contents.h"
#include "proof/machine.h"

enum { most_depth = 4 };

/* One meaning, run on the arguments. */
struct trial {
    struct machine *machine;
    const struct bound_call *call;
    const struct reading **results; /* returns, then new values of what is written; */
    size_t count, found;            /* of these the leading graph has so many */
    bool rounds;
};

/* ---- arguments ---- */

static struct meaning_argument describe(struct machine *machine, const struct bound_call *call, size_t index) {
    struct prover *prover = machine->prover;
    const struct item *item = &call->arguments[index];
    struct meaning_argument argument = {.is_default = bound_is_default(machine, call, index)};
    if (item->kind == item_none) argument.type = &type_of_none;
    if (item->kind == item_integer) argument.type = type_make_integer(prover->arena, item->integer);
    if (item->kind == item_literal) argument.literal = item->literal;
    if (item->kind != item_tensor) return argument;
    struct layout layout = {item->tensor->place.layout.rank, item->tensor->place.layout.sizes, NULL};
    layout.strides = dense_place(prover, layout.sizes, layout.rank).layout.strides;
    argument.type = type_make_tensor(prover->arena, item->tensor->dtype, layout, (struct device){.index = -1});
    return argument;
}

/* False: something is given, or written, that no meaning is for. */
static bool describe_all(struct machine *machine, const struct bound_call *call, struct meaning_argument *arguments) {
    for (size_t i = 0; i < call->operation->schema.argument_count; i++) {
        struct tensor_value *tensor = item_tensor_of(&call->arguments[i]);
        bool written = tensor && call->operation->schema.arguments[i].written;
        arguments[i] = describe(machine, call, i);
        if (!arguments[i].type && !arguments[i].literal) return false;
        if (written && !bound_stands_apart(machine, call, tensor, tensor)) return false;
    }
    return true;
}

/* The argument as a placeholder of the meaning: a tensor in memory of its own. */
static const struct item *argument_of(void *user, struct text name) {
    struct trial *trial = user;
    struct prover *prover = trial->machine->prover;
    size_t index = schema_find_argument(&trial->call->operation->schema, name);
    struct item *item = arena_new(prover->arena, struct item);
    if (index == SIZE_MAX) return item;
    *item = trial->call->arguments[index];
    if (item->kind != item_tensor) return item;
    struct layout layout = {item->tensor->place.layout.rank, item->tensor->place.layout.sizes, NULL};
    struct tensor_value *fresh = tensor_fresh(trial->machine, &layout, item->tensor->dtype);
    tensor_write(trial->machine, fresh, tensor_read(trial->machine, item->tensor));
    *item = item_of_tensor(fresh);
    return item;
}

/* ---- what the leading graph has ---- */

static bool is_leading(const struct reading *reading) {
    const struct term *term = reading->term;
    if (term->kind != term_pieces) return term->leading;
    for (size_t i = 0; i < term->contents->cells.count; i++)
        if (!term->contents->cells.items[i].piece->term->leading) return false;
    return true;
}

/* ---- one meaning ---- */

static void collect(struct trial *trial, struct machine *machine) {
    const struct item *output = &machine->output;
    size_t count = output->kind == item_tuple ? output->tuple.count : 0;
    trial->results = arena_array(machine->prover->arena, const struct reading *, count);
    for (size_t i = 0; i < count; i++) {
        struct tensor_value *tensor = item_tensor_of(&output->tuple.items[i]);
        if (!tensor) return;
        trial->results[i] = tensor_read(machine, tensor);
        trial->found += is_leading(trial->results[i]);
    }
    trial->count = count;
}

/* What a meaning cannot say is no fault of the graphs. */
static void run_trial(struct trial *trial, struct graph *graph, bool rounds) {
    struct prover *prover = trial->machine->prover;
    struct machine machine;
    bool outer = prover->rounds;
    prover->rounds = false;
    prover->depth++;
    machine_run_within(prover, graph, argument_of, trial, &machine);
    if (!prover->obstacle) collect(trial, &machine);
    if (prover->obstacle) trial->count = trial->found = 0;
    prover->obstacle = NULL;
    prover->obstacle_node = NULL;
    prover->depth--;
    trial->rounds = rounds || prover->rounds;
    prover->rounds = outer;
}

/* ---- taking it ---- */

static bool write_back(struct machine *machine, struct tensor_value *tensor, const struct reading *reading,
                       bool write) {
    struct prover *prover = machine->prover;
    const struct layout *layout = &tensor->place.layout;
    if (reading->term->dtype != tensor->dtype) return false;
    if (layout_same_sizes(prover->symbols, &reading->layout, layout) != answer_yes) {
        symint count = layout_count(prover->symbols, layout);
        if (!surely_equal(prover, count, layout_count(prover->symbols, &reading->layout))) return false;
        struct window_place dense = dense_place(prover, layout->sizes, layout->rank);
        reading = reading_at(prover, reading, &dense);
    }
    if (write) tensor_write(machine, tensor, reading);
    return true;
}

/* Gives the results to what the call writes; without `write`, only whether they fit. */
static bool hand_over(const struct trial *trial, bool write) {
    const struct schema *schema = &trial->call->operation->schema;
    size_t next = schema->return_count;
    for (size_t i = 0; i < schema->argument_count; i++) {
        struct tensor_value *tensor = item_tensor_of(&trial->call->arguments[i]);
        if (!schema->arguments[i].written || !tensor) continue;
        if (next == trial->count || !write_back(trial->machine, tensor, trial->results[next++], write)) return false;
    }
    return next == trial->count;
}

void prover_note_rounded(struct prover *prover, struct text operation) {
    struct rounded_list *list = prover->rounded;
    struct rounded_calls calls = {operation, 1};
    prover->rounds = true;
    if (prover->depth) return; /* the outermost call counts */
    for (size_t i = 0; i < list->count; i++) {
        if (!text_equal(list->items[i].operation, operation)) continue;
        list->items[i].calls++;
        return;
    }
    vector_push(prover->arena, list, calls);
}

static void take(struct machine *machine, const struct bound_call *call, const struct trial *trial) {
    struct prover *prover = machine->prover;
    hand_over(trial, true);
    for (size_t i = 0; i < call->operation->schema.return_count; i++) {
        const struct reading *result = trial->results[i];
        ((struct term *)term_result_of(prover, call->term, (int64_t)i, result->term->dtype))->meaning = result;
    }
    if (trial->rounds) prover_note_rounded(prover, call->operation->target);
}

bool bound_takes_meaning(struct machine *machine, struct bound_call *call) {
    struct prover *prover = machine->prover;
    const struct meanings *meanings = prover->meanings;
    struct trial best = {0};
    struct graph *graph;
    size_t argument_count = call->operation->schema.argument_count;
    struct meaning_argument *arguments = arena_array(prover->arena, struct meaning_argument, argument_count);
    bool expand = prover->leading && prover->expands;
    if (!meanings || prover->depth == most_depth) return false;
    if (!prover->expands && (prover->leading || call->term->leading)) return false;
    if (!describe_all(machine, call, arguments)) return false;
    for (size_t next = 0;;) {
        struct trial trial = {.machine = machine, .call = call};
        bool rounds;
        if (meanings->find(meanings->user, call->operation, arguments, &next, &graph, &rounds) || !graph) break;
        run_trial(&trial, graph, rounds);
        if (expand && trial.rounds) break;
        if (trial.found > best.found && hand_over(&trial, false)) best = trial;
        if (best.count && best.found == best.count) break;
    }
    if (best.found) take(machine, call, &best);
    return best.found;
}
