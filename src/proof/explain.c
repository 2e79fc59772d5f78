#include "proof/explain.h"

#include "proof/contents.h"

/* ---- what a value is, in words ---- */

static void describe_term(struct builder *out, const struct term *term) {
    switch (term->kind) {
    case term_input:
        builder_format(out, "input %.*s", TEXT_ARGS(term->name));
        break;
    case term_attribute:
        builder_format(out, "self.%.*s", TEXT_ARGS(term->name));
        break;
    case term_uninitialised:
        builder_string(out, "uninitialised memory");
        break;
    case term_state:
        builder_format(out, "the state of '%.*s' at the start", TEXT_ARGS(term->name));
        break;
    case term_pieces:
        builder_format(out, "%zu pieces", term->contents->cells.count);
        break;
    case term_read:
    case term_written:
        builder_string(out, "memory that could not be taken apart");
        break;
    default: {
        const struct term *call = term->call ? term->call : term;
        builder_format(out, "%.*s", TEXT_ARGS(call->name));
        if (call->node) builder_format(out, " (%.*s)", TEXT_ARGS(call->node->name));
    }
    }
}

static void describe_place(struct builder *out, const struct reading *reading) {
    builder_string(out, " from element ");
    symint_print(out, reading->offset);
    builder_string(out, ", sizes [");
    for (size_t i = 0; i < reading->layout.rank; i++) {
        if (i) builder_string(out, ", ");
        symint_print(out, reading->layout.sizes[i]);
    }
    builder_string(out, "], steps [");
    for (size_t i = 0; i < reading->layout.rank; i++) {
        if (i) builder_string(out, ", ");
        symint_print(out, reading->layout.strides[i]);
    }
    builder_byte(out, ']');
}

static void finish(struct prover *prover, const struct term *a, const struct term *b, const struct reading *reading_a,
                   const struct reading *reading_b, const char *reason, struct proof *proof) {
    struct builder out;
    builder_init(&out, prover->arena);
    describe_term(&out, a);
    if (reading_a) describe_place(&out, reading_a);
    builder_string(&out, " against ");
    describe_term(&out, b);
    if (reading_b) describe_place(&out, reading_b);
    proof->reason = reason;
    proof->provenance = out.data;
    proof->first = a->call ? a->call->node : a->node;
    proof->second = b->call ? b->call->node : b->node;
}

/* ---- going back to where they part ---- */

/* A pair of values that are not the same; readings NULL for calls and states. */
struct pair {
    const struct term *a, *b;
    const struct reading *reading_a, *reading_b;
};

static struct pair pair_of(const struct reading *a, const struct reading *b) {
    return (struct pair){a->term, b->term, a, b};
}

static const struct term *computed(const struct term *term) { return term->call ? term->call : term; }

/* The first argument in which two applications of one operation differ; false when there is none. */
static bool step_arguments(struct pair *pair) {
    const struct term *a = computed(pair->a), *b = computed(pair->b);
    bool alike = a->kind == b->kind && text_equal(a->name, b->name) && a->argument_count == b->argument_count;
    for (size_t i = 0; alike && i < a->argument_count; i++) {
        if (a->arguments[i] == b->arguments[i]) continue;
        *pair = pair_of(a->arguments[i], b->arguments[i]);
        return true;
    }
    if (!alike || !a->state || !b->state || a->state == b->state) return false;
    *pair = (struct pair){a->state, b->state, NULL, NULL};
    return true;
}

/* Two lists of pieces that cover the same with other terms: the first piece that differs. */
static bool step_pieces(struct pair *pair) {
    if (pair->a->kind != term_pieces || pair->b->kind != term_pieces) return false;
    const struct contents *a = pair->a->contents, *b = pair->b->contents;
    if (a->cells.count != b->cells.count) return false;
    for (size_t i = 0; i < a->cells.count; i++) {
        const struct piece *x = a->cells.items[i].piece, *y = b->cells.items[i].piece;
        if (x->term == y->term) continue;
        *pair = (struct pair){x->term, y->term, NULL, NULL};
        return true;
    }
    return false;
}

static const char *reason_of(const struct pair *pair) {
    const struct term *a = computed(pair->a), *b = computed(pair->b);
    if (pair->a == pair->b) return "different elements of one value are read";
    if (a == b) return "different results of one operation are used";
    if (a->kind != b->kind) return "they are of different origin";
    if (a->kind == term_pieces) return "they are put together differently";
    if (a->kind == term_call && text_equal(a->name, b->name)) return "an operation has different arguments";
    if (a->kind == term_call) return "different operations compute them";
    return "they come from different values";
}

static void explain(struct prover *prover, struct pair pair, struct proof *proof) {
    while (pair.a != pair.b && computed(pair.a) != computed(pair.b) && (step_arguments(&pair) || step_pieces(&pair)))
        continue;
    finish(prover, pair.a, pair.b, pair.reading_a, pair.reading_b, reason_of(&pair), proof);
}

void explain_readings(struct prover *prover, const struct reading *a, const struct reading *b, struct proof *proof) {
    explain(prover, pair_of(a, b), proof);
}

void explain_terms(struct prover *prover, const struct term *a, const struct term *b, struct proof *proof) {
    explain(prover, (struct pair){a, b, NULL, NULL}, proof);
}
