/* The table of terms and readings. */
#include "proof/term.h"

void prover_give_up(struct prover *prover, const char *format, ...) {
    va_list list;
    if (prover->obstacle) return;
    va_start(list, format);
    prover->obstacle = text_format_list(prover->arena, format, list);
    va_end(list);
    prover->obstacle_node = prover->node;
}

/* ---- keys ---- */

static void add_bytes(struct builder *key, const void *bytes, size_t size) {
    builder_add(key, (struct text){bytes, size});
}

void key_start(struct prover *prover, struct builder *key, enum term_kind kind, enum dtype dtype) {
    builder_init(key, prover->arena);
    builder_byte(key, (char)kind);
    builder_byte(key, (char)dtype);
}

void key_pointer(struct builder *key, const void *pointer) { add_bytes(key, &pointer, sizeof pointer); }
void key_number(struct builder *key, int64_t number) { add_bytes(key, &number, sizeof number); }

void key_text(struct builder *key, struct text text) {
    key_number(key, (int64_t)text.length);
    builder_add(key, text);
}

/* ---- symbols ---- */

static bool is_decided(const struct prover *prover, struct text symbol) {
    const struct definition *definition = map_get_text(prover->bound, symbol);
    return definition && (!definition->term || (prover->leading ? definition->leading : definition->following));
}

void symbol_bind(struct prover *prover, struct text symbol) {
    *map_slot_text(prover->bound, symbol) = arena_new(prover->arena, struct definition);
}

struct text symbol_decided_by(const struct prover *prover, symint integer) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    int64_t number;
    if (symint_is_constant(integer, &number)) return TEXT("");
    const char *text = symint_string(prover->arena, integer);
    text += strcspn(text, letters);
    struct text name = {text, strspn(text, all)};
    symint symbol = symint_symbol(prover->symbols, name);
    symint factor = symint_divide_exact(prover->symbols, integer, symbol), rest = minus(prover, integer, symbol);
    bool decided = symint_is_constant(rest, &number) || (factor && symint_is_constant(factor, &number));
    return decided ? name : TEXT("");
}

bool symbol_define(struct prover *prover, symint integer, const struct term *call, int64_t item) {
    if (map_get(prover->checked, &integer, sizeof integer)) return false;
    struct text symbol = symbol_decided_by(prover, integer);
    if (!symbol.length || is_decided(prover, symbol)) return false;
    const struct term *term = term_result_of(prover, call, item, dtype_none);
    struct definition **slot = (struct definition **)map_slot_text(prover->bound, symbol);
    if (!*slot) {
        *slot = arena_new(prover->arena, struct definition);
        (*slot)->term = term;
        (*slot)->integer = integer;
    } else if ((*slot)->term != term || (*slot)->integer != integer) {
        prover_give_up(prover, "the graphs have the symbol %.*s from different calls", TEXT_ARGS(symbol));
    }
    *(prover->leading ? &(*slot)->leading : &(*slot)->following) = true;
    return true;
}

struct search {
    struct prover *prover;
    int64_t trial;
    struct text unbound;
};

static bool look_up(void *user, struct text symbol, int64_t *value) {
    struct search *search = user;
    if (!is_decided(search->prover, symbol)) search->unbound = symbol;
    *value = search->trial;
    return true;
}

/* Evaluates the integer for some value of its symbols, only to see which they are; a value that makes a divisor 0 ends
 * the search, so another one is tried. */
static void check_symbols(struct prover *prover, symint integer) {
    static const int64_t trials[] = {101, 64, 3};
    int64_t value;
    if (symint_is_constant(integer, &value)) return;
    void **slot = map_slot(prover->checked, &integer, sizeof integer);
    if (*slot) return;
    *slot = prover;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        struct search search = {prover, trials[i], TEXT("")};
        bool complete = symint_evaluate(integer, look_up, &search, &value);
        if (search.unbound.length) {
            prover_give_up(prover, "neither the inputs nor a call in front decide the symbol %.*s",
                           TEXT_ARGS(search.unbound));
            return;
        }
        if (complete && symint_equal(prover->symbols, integer, integer) == answer_yes) return;
    }
    prover_give_up(prover, "a size, stride or offset is not a polynomial of symbols that the inputs decide");
}

void key_symint(struct prover *prover, struct builder *key, symint integer) {
    check_symbols(prover, integer);
    key_pointer(key, integer);
}

void key_place(struct prover *prover, struct builder *key, const struct window_place *place) {
    key_symint(prover, key, place->offset);
    key_number(key, (int64_t)place->layout.rank);
    for (size_t i = 0; i < place->layout.rank; i++) {
        key_symint(prover, key, place->layout.sizes[i]);
        key_symint(prover, key, place->layout.strides[i]);
    }
}

/* ---- terms ---- */

struct term *key_term(struct prover *prover, const struct builder *key) {
    struct term **slot = (struct term **)map_slot(prover->terms, key->data, key->length);
    if (!*slot) {
        *slot = arena_new(prover->arena, struct term);
        **slot = (struct term){.kind = (enum term_kind)key->data[0],
                               .dtype = (enum dtype)key->data[1],
                               .serial = prover->serials++,
                               .leading = prover->leading,
                               .node = prover->node};
    }
    return *slot;
}

const struct term *term_uninitialised_of(struct prover *prover, enum dtype dtype) {
    struct builder key;
    key_start(prover, &key, term_uninitialised, dtype);
    return key_term(prover, &key);
}

const struct term *term_result_of(struct prover *prover, const struct term *call, int64_t item, enum dtype dtype) {
    struct builder key;
    key_start(prover, &key, term_result, dtype);
    key_pointer(&key, call);
    key_number(&key, item);
    struct term *term = key_term(prover, &key);
    term->call = call;
    return term;
}

/* ---- readings ---- */

const struct reading *reading_intern(struct prover *prover, const struct term *term, symint offset,
                                     const struct layout *layout) {
    const void *key[2 + 2 * place_most_dimensions];
    size_t rank = layout->rank;
    symint zero = number(prover, 0);
    bool nowhere = term->kind == term_uninitialised;
    if (rank > place_most_dimensions) {
        prover_give_up(prover, "a tensor has %zu dimensions", rank);
        rank = place_most_dimensions;
    }
    key[0] = term;
    key[1] = nowhere ? zero : offset;
    check_symbols(prover, offset);
    for (size_t i = 0; i < rank; i++) {
        symint stride = nowhere || symint_is(layout->sizes[i], 1) ? zero : layout->strides[i];
        check_symbols(prover, layout->sizes[i]);
        check_symbols(prover, stride);
        key[2 + i] = layout->sizes[i];
        key[2 + rank + i] = stride;
    }
    struct reading **slot = (struct reading **)map_slot(prover->readings, key, (2 + 2 * rank) * sizeof *key);
    if (*slot) return *slot;
    symint *numbers = arena_copy(prover->arena, key + 2, 2 * rank * sizeof *key);
    *slot = arena_new(prover->arena, struct reading);
    **slot = (struct reading){term, key[1], {rank, numbers, numbers + rank}};
    if (!term->whole) ((struct term *)term)->whole = &(*slot)->layout;
    return *slot;
}
