/* Runs both graphs on terms and compares what they leave: results, inputs, state, and what shares memory. */
#include "proof/proof.h"

#include "proof/explain.h"
#include "proof/machine.h"

struct comparison_run {
    struct prover prover;
    struct machine machines[2];
    struct proof *proof;
    size_t first;                /* the machine that runs first */
    struct rounded_list rounded; /* what the prover's points to */
};

static bool differ(struct comparison_run *run, const char *result, const char *reason) {
    run->proof->result = result;
    run->proof->reason = reason;
    return false;
}

static const char *name_of(struct comparison_run *run, const char *kind, struct text name) {
    return text_format(run->prover.arena, "%s %.*s", kind, TEXT_ARGS(name));
}

/* ---- the inputs of both ---- */

/* A symbol is decided by the inputs where it is a size itself, or one but for a factor or an addend. */
static void bind_symbol(struct prover *prover, symint integer) {
    struct text symbol = symbol_decided_by(prover, integer);
    if (symbol.length) symbol_bind(prover, symbol);
}

static void bind_layout(struct prover *prover, const struct layout *layout) {
    for (size_t i = 0; i < layout->rank; i++) {
        bind_symbol(prover, layout->sizes[i]);
        if (layout->strides) bind_symbol(prover, layout->strides[i]);
    }
}

static void bind_symbols(struct prover *prover, const struct graph *graph) {
    for (const struct node *node = graph->first; node; node = node->next) {
        if (node->kind != node_placeholder) continue;
        if (node->type->kind == type_integer) bind_symbol(prover, node->type->integer);
        if (node->type->kind == type_tensor) bind_layout(prover, &node->type->layout);
    }
}

static bool same_type(const struct type *a, const struct type *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == type_integer) return a->integer == b->integer;
    if (a->kind != type_tensor) return true;
    if (!device_equal(a->device, b->device) || a->dtype != b->dtype || a->layout.rank != b->layout.rank ||
        !a->layout.strides != !b->layout.strides)
        return false;
    for (size_t i = 0; i < a->layout.rank; i++) {
        if (a->layout.sizes[i] != b->layout.sizes[i]) return false;
        if (a->layout.strides && a->layout.strides[i] != b->layout.strides[i]) return false;
    }
    return true;
}

static bool same_inputs(struct comparison_run *run, const struct graph *a, const struct graph *b) {
    const struct node *x = node_placeholder_from(a->first), *y = node_placeholder_from(b->first);
    for (; x && y; x = node_placeholder_from(x->next), y = node_placeholder_from(y->next)) {
        run->proof->first = x;
        run->proof->second = y;
        if (!text_equal(x->name, y->name))
            return differ(run, name_of(run, "input", x->name), "the inputs have different names");
        if (!same_type(x->type, y->type))
            return differ(run, name_of(run, "input", x->name), "the inputs have different types");
    }
    run->proof->first = run->proof->second = NULL;
    return !x && !y ? true : differ(run, "the inputs", "one graph has more of them");
}

/* ---- results ---- */

static bool same_reading(struct prover *prover, const struct reading *a, const struct reading *b) {
    if (a == b) return true;
    if (a->term != b->term || a->layout.rank != b->layout.rank || !surely_equal(prover, a->offset, b->offset))
        return false;
    for (size_t i = 0; i < a->layout.rank; i++)
        if (!surely_equal(prover, a->layout.sizes[i], b->layout.sizes[i]) ||
            !surely_equal(prover, a->layout.strides[i], b->layout.strides[i]))
            return false;
    return true;
}

static bool same_key(struct comparison_run *run, const struct item *a, const struct item *b) {
    struct encoding encodings[2] = {0};
    const struct item *items[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        builder_init(&encodings[i].key, run->prover.arena);
        encode_item(&run->machines[i], &encodings[i], items[i], false, true);
    }
    return text_equal(builder_text(&encodings[0].key), builder_text(&encodings[1].key));
}

struct outputs {
    struct item *items;
    size_t count, capacity;
};

static void flatten(struct prover *prover, const struct item *item, struct outputs *outputs) {
    if (item->kind != item_tuple) vector_push(prover->arena, outputs, *item);
    for (size_t i = 0; item->kind == item_tuple && i < item->tuple.count; i++)
        flatten(prover, &item->tuple.items[i], outputs);
}

static bool same_nesting(const struct item *a, const struct item *b) {
    if (a->kind != item_tuple || b->kind != item_tuple) return a->kind != item_tuple && b->kind != item_tuple;
    if (a->tuple.count != b->tuple.count) return false;
    for (size_t i = 0; i < a->tuple.count; i++)
        if (!same_nesting(&a->tuple.items[i], &b->tuple.items[i])) return false;
    return true;
}

static bool same_devices(const struct value *a, const struct value *b) {
    const struct node *x = value_as_node(a), *y = value_as_node(b);
    bool lists = (a->kind == value_list || a->kind == value_tuple) && (b->kind == value_list || b->kind == value_tuple);
    if (x && y && x->type->kind == type_tensor && y->type->kind == type_tensor)
        return device_equal(x->type->device, y->type->device);
    for (size_t i = 0; lists && i < a->list.count && i < b->list.count; i++)
        if (!same_devices(&a->list.items[i], &b->list.items[i])) return false;
    return true;
}

static bool same_result_devices(const struct comparison_run *run) {
    const struct node *a = run->machines[0].graph->last, *b = run->machines[1].graph->last;
    return !a->argument_count || !b->argument_count || same_devices(&a->arguments[0], &b->arguments[0]);
}

static bool same_output(struct comparison_run *run, const struct item *a, const struct item *b, const char *name) {
    struct prover *prover = &run->prover;
    if (a->kind != b->kind) return differ(run, name, "they are of different kinds");
    if (a->kind == item_integer)
        return surely_equal(prover, a->integer, b->integer) || differ(run, name, "the numbers may differ");
    if (a->kind != item_tensor) return same_key(run, a, b) || differ(run, name, "they are not the same");
    const struct reading *x = tensor_read(&run->machines[0], a->tensor), *y = tensor_read(&run->machines[1], b->tensor);
    if (prover->obstacle) return differ(run, name, prover->obstacle);
    if (same_reading(prover, x, y)) return true;
    explain_readings(prover, x, y, run->proof);
    run->proof->result = name;
    return false;
}

/* ---- which results share memory, with each other and with inputs ---- */

static enum answer share(const struct buffer *a, const struct buffer *b) {
    if (a == b) return answer_yes;
    return a->sharing && a->sharing == b->sharing ? answer_unknown : answer_no;
}

static struct buffer *buffer_of(const struct item *item) {
    return item->kind == item_tensor ? item->tensor->buffer : NULL;
}

/* The second graph must not share what the first one surely keeps apart. */
static bool shares_more(const struct buffer *a, const struct buffer *other_a, const struct buffer *b,
                        const struct buffer *other_b) {
    if (!a || !other_a || !b || !other_b) return false;
    return share(a, other_a) == answer_no && share(b, other_b) != answer_no;
}

static struct buffer *find_input(const struct machine *machine, const struct term *initial) {
    for (size_t i = 0; i < machine->inputs.count; i++)
        if (machine->inputs.items[i]->initial == initial) return machine->inputs.items[i];
    return NULL;
}

static bool same_sharing_with_inputs(struct comparison_run *run, const struct buffer *a, const struct buffer *b,
                                     const char *name) {
    const struct machine *machines = run->machines;
    for (size_t i = 0; b && i < machines[1].inputs.count; i++) {
        const struct buffer *input = machines[1].inputs.items[i], *twin = find_input(&machines[0], input->initial);
        bool more = twin ? shares_more(a, twin, b, input) : share(b, input) != answer_no;
        if (more)
            return differ(run, name,
                          text_format(run->prover.arena,
                                      "only in the second graph it shares memory with the input %.*s",
                                      TEXT_ARGS(input->input->name)));
    }
    return true;
}

static bool same_sharing(struct comparison_run *run, const struct outputs *a, const struct outputs *b) {
    for (size_t i = 0; i < a->count; i++) {
        const struct buffer *x = buffer_of(&a->items[i]), *y = buffer_of(&b->items[i]);
        const char *name = text_format(run->prover.arena, "out%zu", i);
        for (size_t j = 0; j < i; j++)
            if (shares_more(x, buffer_of(&a->items[j]), y, buffer_of(&b->items[j])))
                return differ(
                    run, name,
                    text_format(run->prover.arena, "only in the second graph it shares memory with out%zu", j));
        if (!same_sharing_with_inputs(run, x, y, name)) return false;
    }
    return true;
}

static bool same_outputs(struct comparison_run *run) {
    struct outputs outputs[2] = {0};
    for (size_t i = 0; i < 2; i++) flatten(&run->prover, &run->machines[i].output, &outputs[i]);
    if (outputs[0].count != outputs[1].count) return differ(run, "the results", "one graph returns more of them");
    if (!same_nesting(&run->machines[0].output, &run->machines[1].output))
        return differ(run, "the results", "they are nested in different ways");
    if (!same_result_devices(run)) return differ(run, "the results", "one of them is on another device");
    for (size_t i = 0; i < outputs[0].count; i++)
        if (!same_output(run, &outputs[0].items[i], &outputs[1].items[i], text_format(run->prover.arena, "out%zu", i)))
            return false;
    return same_sharing(run, &outputs[0], &outputs[1]);
}

/* ---- what is left in inputs and in state ---- */

static const struct term *final_contents(struct comparison_run *run, struct buffer *buffer,
                                         const struct term *initial) {
    if (!buffer) return initial;
    if (buffer->stale) prover_give_up(&run->prover, "it may have been overwritten through another tensor");
    return buffer->version ? contents_term(&run->prover, &buffer->contents) : initial;
}

static bool same_final(struct comparison_run *run, const struct term *initial, const struct node *node) {
    const struct term *a = final_contents(run, find_input(&run->machines[0], initial), initial);
    const struct term *b = final_contents(run, find_input(&run->machines[1], initial), initial);
    const char *name = name_of(run, "mutated input", node->name);
    if (run->prover.obstacle) return differ(run, name, run->prover.obstacle);
    if (a == b) return true;
    explain_terms(&run->prover, a, b, run->proof);
    run->proof->result = name;
    return false;
}

static bool same_final_inputs(struct comparison_run *run) {
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < run->machines[m].inputs.count; i++) {
            const struct buffer *buffer = run->machines[m].inputs.items[i];
            if (buffer->version || buffer->stale)
                if (!same_final(run, buffer->initial, buffer->input)) return false;
        }
    return true;
}

static const struct term *final_state(struct comparison_run *run, const struct machine *machine, struct text layer) {
    const struct state *state = map_get_text(machine->states, layer);
    return state ? state->term : state_initial(&run->prover, machine->epoch, layer);
}

static bool same_state(struct comparison_run *run, const char *name, const struct term *a, const struct term *b) {
    if (a == b) return true;
    if (a && b)
        explain_terms(&run->prover, a, b, run->proof);
    else
        run->proof->reason = "only one graph has operations that may change anything";
    run->proof->result = name;
    return false;
}

static bool same_states(struct comparison_run *run) {
    const struct machine *machines = run->machines;
    if (!same_state(run, "the effects", machines[0].epoch, machines[1].epoch)) return false;
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < machines[m].state_list.count; i++) {
            struct text layer = machines[m].state_list.items[i]->layer;
            const struct term *a = final_state(run, &machines[0], layer), *b = final_state(run, &machines[1], layer);
            if (!same_state(run, layer.length ? name_of(run, "state of", layer) : "the state", a, b)) return false;
        }
    return true;
}

/* ---- all ---- */

static bool run_machines(struct comparison_run *run, struct graph *a, struct graph *b) {
    struct graph *const graphs[] = {a, b};
    for (size_t k = 0; k < 2; k++) {
        size_t i = k ^ run->first;
        run->prover.leading = k == 0;
        run->prover.checked = map_create(run->prover.arena); /* what calls of the other graph decide is open again */
        machine_run(&run->prover, graphs[i], &run->machines[i]);
        if (!run->prover.obstacle) continue;
        *(i ? &run->proof->second : &run->proof->first) = run->prover.obstacle_node;
        return differ(run, i ? "the second graph" : "the first graph", run->prover.obstacle);
    }
    return true;
}

static bool same_meaning(struct comparison_run *run) {
    bool same = same_outputs(run) && same_final_inputs(run) && same_states(run);
    if (run->machines[0].named_state || run->machines[1].named_state)
        if (run->machines[0].object_state || run->machines[1].object_state)
            prover_give_up(&run->prover, "layers are named in two ways");
    return run->prover.obstacle && same ? differ(run, "the results", run->prover.obstacle) : same;
}

static regraft_status prove(struct comparison_run *run, struct graph *a, struct graph *b) {
    struct context *context = a->context;
    struct prover *prover = &run->prover;
    *run->proof = (struct proof){.result = "", .reason = "", .provenance = ""};
    prover->context = context;
    prover->symbols = context->symbols;
    prover->terms = map_create(prover->arena);
    prover->readings = map_create(prover->arena);
    prover->bound = map_create(prover->arena);
    prover->rounded = &run->rounded;
    if (b->context != context)
        return fail(&context->diagnostics, REGRAFT_USAGE, (struct position){0},
                    "graphs of two contexts cannot be compared");
    bind_symbols(prover, a);
    run->proof->proved = same_inputs(run, a, b) && run_machines(run, a, b) && same_meaning(run);
    if (run->proof->proved) {
        run->proof->rounded = run->rounded.items;
        run->proof->rounded_count = run->rounded.count;
    }
    return REGRAFT_OK;
}

regraft_status prove_equal(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof) {
    struct comparison_run run = {.prover = {.arena = arena}, .proof = proof};
    return prove(&run, a, b);
}

regraft_status prove_by_elements(struct graph *a, struct graph *b, const struct meaning_use *use, struct arena *arena,
                                 struct proof *proof) {
    struct comparison_run run = {
        .prover = {.arena = arena, .by_elements = true, .meanings = use->meanings, .expands = use->expands},
        .proof = proof,
        .first = (size_t)use->leading};
    return prove(&run, a, b);
}
