/* State outside of the graph: a chain of terms for each layer, so that the order of effects is part of the proof. */
#include "proof/machine.h"

const struct term *state_initial(struct prover *prover, const struct term *epoch, struct text layer) {
    struct builder key;
    key_start(prover, &key, term_state, dtype_none);
    key_pointer(&key, epoch);
    key_text(&key, layer);
    struct term *term = key_term(prover, &key);
    term->name = layer;
    return term;
}

/* The layer is named by a string; all objects that may name one, and all unnamed state, are one. */
static struct text layer_of_call(struct machine *machine, const struct bound_call *call) {
    size_t index = schema_find_argument(&call->operation->schema, TEXT("layer_name"));
    const struct item *item = index == SIZE_MAX ? NULL : &call->arguments[index];
    bool named = item && item->kind == item_literal && item->literal->kind == value_string;
    if (named)
        machine->named_state = true;
    else if (item)
        machine->object_state = true;
    if (machine->named_state && machine->object_state)
        prover_give_up(machine->prover, "layers are named by strings and by objects, which may mean the same");
    return named ? item->literal->string : TEXT("");
}

struct state *state_of_call(struct machine *machine, const struct bound_call *call) {
    struct text layer = layer_of_call(machine, call);
    struct state **slot = (struct state **)map_slot_text(machine->states, layer);
    if (!*slot) {
        *slot = arena_new(machine->prover->arena, struct state);
        **slot = (struct state){layer, state_initial(machine->prover, machine->epoch, layer)};
        vector_push(machine->prover->arena, &machine->state_list, *slot);
    }
    return *slot;
}

void encode_states(struct machine *machine, struct builder *key) {
    key_pointer(key, machine->epoch);
    for (size_t i = 0; i < machine->state_list.count; i++) {
        const struct state *state = machine->state_list.items[i];
        const struct term *initial = state_initial(machine->prover, machine->epoch, state->layer);
        if (state->term != initial) key_pointer(key, state->term);
    }
}

void states_forget(struct machine *machine, const struct term *epoch) {
    machine->epoch = epoch;
    machine->states = map_create(machine->prover->arena);
    machine->state_list.count = 0;
}
