#include "tool/verdict.h"

#include "pass/prove.h"

regraft_status verdict_try(struct verdict *verdict, struct graph *a, struct graph *b, struct check_options options,
                           struct arena *arena) {
    size_t trial = 0;
    verdict->compared = verdict->random = true;
    verdict->seed = options.seed;
    regraft_status status = check_random(a, b, options, arena, &verdict->comparison, &trial);
    verdict->trial = verdict->comparison.equal ? trial : trial + 1;
    return status;
}

regraft_status verdict_prove(struct verdict *verdict, struct graph *a, struct graph *b, struct arena *arena) {
    return prove_with_meanings(a, b, arena, &verdict->proof);
}

regraft_status verdict_reach(struct verdict *verdict, struct graph *a, struct graph *b, struct arena *arena) {
    *verdict = (struct verdict){0};
    TRY(verdict_prove(verdict, a, b, arena));
    if (verdict->proof.proved) return REGRAFT_OK;
    return verdict_try(verdict, a, b, (struct check_options){.trials = default_trials}, arena);
}

bool verdict_is_equal(const struct verdict *verdict) {
    if (verdict->compared) return verdict->comparison.equal;
    return verdict->proof.proved && !(verdict->exact && verdict->proof.rounded_count);
}

/* ---- text ---- */

static void print_node(struct builder *out, const char *which, const struct node *node) {
    if (!node) return;
    builder_format(out, "  in the %s graph: %.*s", which, TEXT_ARGS(node->name));
    if (node->location && node->location->file.length) builder_format(out, " (%.*s)", TEXT_ARGS(node->location->file));
    builder_byte(out, '\n');
}

/* Where two values part: the operations and the elements of theirs. */
static void print_provenance(struct builder *out, const struct proof *proof) {
    if (proof->provenance[0]) builder_format(out, "  %s: %s\n", proof->result, proof->provenance);
    print_node(out, "first", proof->first);
    print_node(out, "second", proof->second);
}

/* Without the overload, when that is the default one. */
static struct text short_name(struct text target) {
    static const char overload[] = ".default";
    size_t length = strlen(overload);
    bool has = target.length > length && text_is(text_skip(target, target.length - length), overload);
    return (struct text){target.data, target.length - (has ? length : 0)};
}

/* `2 calls of _C.rms_norm and 1 of _C.silu_and_mul` */
static void print_rounded(struct builder *out, const struct proof *proof) {
    for (size_t i = 0; i < proof->rounded_count; i++) {
        const struct rounded_calls *rounded = &proof->rounded[i];
        const char *between = i == 0 ? "" : i + 1 < proof->rounded_count ? ", " : " and ";
        const char *calls = i ? "" : rounded->calls == 1 ? " call" : " calls";
        builder_format(out, "%s%zu%s of %.*s", between, rounded->calls, calls,
                       TEXT_ARGS(short_name(rounded->operation)));
    }
}

void verdict_print_proof(struct builder *out, const struct proof *proof) {
    if (proof->proved && proof->rounded_count) {
        builder_string(out, "proved equal, but for the rounding of ");
        print_rounded(out, proof);
        builder_byte(out, '\n');
    } else if (proof->proved)
        builder_string(out, "proved equal\n");
    else
        builder_format(out, "not proved: %s: %s\n", proof->result, proof->reason);
    if (!proof->proved) print_provenance(out, proof);
}

static void print_trials(struct builder *out, const struct verdict *verdict, bool asked) {
    const struct proof *proof = &verdict->proof;
    bool equal = verdict->comparison.equal;
    if (equal && !asked && !proof->proved) {
        builder_format(out, "equal on %zu trials, not proved: %s: %s\n", verdict->trial, proof->result, proof->reason);
        print_provenance(out, proof);
        return;
    }
    builder_string(out, equal ? "equal" : "different");
    if (verdict->random && equal) builder_format(out, " in %zu trials", verdict->trial);
    if (verdict->random && !equal)
        builder_format(out, " in trial %zu: --seed %zu --trials 1", verdict->trial,
                       (size_t)verdict->seed + verdict->trial - 1);
    builder_byte(out, '\n');
    verdict_print_proof(out, proof);
}

void verdict_print(struct builder *out, const struct verdict *verdict, bool asked) {
    if (!verdict->compared) {
        verdict_print_proof(out, &verdict->proof);
        return;
    }
    comparison_print(out, &verdict->comparison);
    print_trials(out, verdict, asked);
}

/* ---- JSON ---- */

static json_t *node_json(const struct node *node) { return node ? json_text(node->name) : json_null(); }

static json_t *rounded_json(const struct proof *proof) {
    json_t *list = json_array();
    for (size_t i = 0; i < proof->rounded_count; i++) {
        json_t *row = json_object();
        json_object_set_new(row, "operation", json_text(proof->rounded[i].operation));
        json_object_set_new(row, "calls", json_integer((json_int_t)proof->rounded[i].calls));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *proof_json(const struct proof *proof) {
    json_t *answer = json_object();
    json_object_set_new(answer, "proved", json_boolean(proof->proved));
    if (proof->proved) {
        json_object_set_new(answer, "exact", json_boolean(proof->rounded_count == 0));
        json_object_set_new(answer, "rounded", rounded_json(proof));
        return answer;
    }
    json_object_set_new(answer, "result", json_words(proof->result));
    json_object_set_new(answer, "reason", json_words(proof->reason));
    json_object_set_new(answer, "first", node_json(proof->first));
    json_object_set_new(answer, "second", node_json(proof->second));
    json_object_set_new(answer, "provenance", json_words(proof->provenance));
    return answer;
}

json_t *verdict_json(const struct verdict *verdict) {
    json_t *json = verdict->compared ? comparison_json(&verdict->comparison) : json_object();
    if (!verdict->compared && verdict->proof.proved) json_object_set_new(json, "equal", json_true());
    if (verdict->random) json_object_set_new(json, "trials", json_integer((json_int_t)verdict->trial));
    json_object_set_new(json, "proof", proof_json(&verdict->proof));
    return json;
}
