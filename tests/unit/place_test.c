/* The memory model against brute force: random chains of views on small buffers, every answer about two of them compared
 * with the sets of addresses that an independent walk over all indices gives. */
#include <stdio.h>
#include <stdlib.h>

#include "ir/infer.h"
#include "ir/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- a walk over addresses: slow, and knows nothing of strides ---- */

enum { most_rank = 6, most_elements = 4096 };

struct walk {
    size_t rank, count;
    int64_t sizes[most_rank];
    int64_t addresses[most_elements]; /* row-major */
};

enum view_kind {
    view_slice,
    view_select,
    view_permute,
    view_unsqueeze,
    view_squeeze,
    view_expand,
    view_reshape,
    view_split,
    view_as_strided,
    view_unfold,
    view_kinds
};

/* One view; sizes that are -2 stand for the symbol. */
struct step {
    enum view_kind kind;
    int64_t a, b, c, d;
    int64_t list[most_rank], strides[most_rank];
    size_t count;
};

static uint64_t random_state;

static uint64_t next_random(void) { /* splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t below(int64_t limit) { return (int64_t)(next_random() % (uint64_t)limit); }

static void count_elements(struct walk *walk) {
    walk->count = 1;
    for (size_t i = 0; i < walk->rank; i++) walk->count *= (size_t)walk->sizes[i];
}

/* The address at an index of the walk. */
static int64_t at(const struct walk *walk, const int64_t *index) {
    size_t flat = 0;
    for (size_t i = 0; i < walk->rank; i++) flat = flat * (size_t)walk->sizes[i] + (size_t)index[i];
    return walk->addresses[flat];
}

/* Where element `index` of the new view lies in the old one. */
static void map_index(const struct step *step, const struct walk *old, const struct walk *new, const int64_t *index,
                      int64_t *from) {
    (void)old;
    size_t k = 0;
    for (size_t i = 0; i < new->rank; i++) {
        switch (step->kind) {
        case view_slice:
        case view_split:
            from[i] = (int64_t)i == step->a ? step->b + index[i] * step->d : index[i];
            break;
        case view_select:
            if ((int64_t)i == step->a) from[k++] = step->b;
            from[k++] = index[i];
            break;
        case view_permute:
            from[step->list[i]] = index[i];
            break;
        case view_unsqueeze:
            if ((int64_t)i != step->a) from[k++] = index[i];
            break;
        case view_squeeze:
            if ((int64_t)i == step->a) from[k++] = 0;
            from[k++] = index[i];
            break;
        case view_expand:
            from[i] = (int64_t)i == step->a ? 0 : index[i];
            break;
        case view_unfold:
            if (i + 1 < new->rank)
                from[i] = (int64_t)i == step->a ? index[i] * step->c + index[new->rank - 1] : index[i];
            break;
        default:
            break;
        }
    }
    if (step->kind == view_select && step->a == (int64_t) new->rank) from[k++] = step->b;
    if (step->kind == view_squeeze && step->a == (int64_t) new->rank) from[k++] = 0;
}

static void new_sizes(const struct step *step, const struct walk *old, struct walk *new, int64_t symbol) {
    *new = (struct walk){.rank = old->rank};
    memcpy(new->sizes, old->sizes, sizeof new->sizes);
    switch (step->kind) {
    case view_slice:
    case view_split:
        new->sizes[step->a] = (step->c - step->b + step->d - 1) / step->d;
        break;
    case view_select:
    case view_squeeze:
        new->rank--;
        for (size_t i = (size_t)step->a; i < new->rank; i++) new->sizes[i] = old->sizes[i + 1];
        break;
    case view_permute:
        for (size_t i = 0; i < new->rank; i++) new->sizes[i] = old->sizes[step->list[i]];
        break;
    case view_unsqueeze:
        new->rank++;
        for (size_t i = new->rank - 1; i > (size_t)step->a; i--) new->sizes[i] = old->sizes[i - 1];
        new->sizes[step->a] = 1;
        break;
    case view_expand:
        new->sizes[step->a] = step->b;
        break;
    case view_unfold:
        new->sizes[step->a] = (old->sizes[step->a] - step->b) / step->c + 1;
        new->sizes[new->rank++] = step->b;
        break;
    default:
        new->rank = step->count;
        for (size_t i = 0; i < step->count; i++) new->sizes[i] = step->list[i] == -2 ? symbol : step->list[i];
    }
    count_elements(new);
}

/* Advances a row-major index; false after the last. */
static bool advance(const struct walk *walk, int64_t *index) {
    for (size_t i = walk->rank; i-- > 0;) {
        if (++index[i] < walk->sizes[i]) return true;
        index[i] = 0;
    }
    return false;
}

static void apply(const struct step *step, struct walk *walk, int64_t symbol) {
    struct walk new;
    int64_t index[most_rank] = {0}, from[most_rank + 1];
    new_sizes(step, walk, &new, symbol);
    assert_true(new.count <= most_elements);
    for (size_t n = 0; n < new.count; n++) {
        if (step->kind == view_reshape) {
            new.addresses[n] = walk->addresses[n];
        } else if (step->kind == view_as_strided) {
            new.addresses[n] = step->a;
            for (size_t i = 0; i < new.rank; i++) new.addresses[n] += index[i] * step->strides[i];
        } else {
            map_index(step, walk, &new, index, from);
            new.addresses[n] = at(walk, from);
        }
        advance(&new, index);
    }
    *walk = new;
}

/* ---- the same views as a graph ---- */

struct fixture {
    struct context context;
    struct graph *graph;
    struct node *output, *base;
    symint symbol;
};

static struct node *call(struct fixture *fixture, enum operation_id id, struct node *input, size_t arguments) {
    struct node *node = graph_insert_call(fixture->graph, fixture->output,
                                          operations_by_id(fixture->context.operations, id), arguments);
    value_set_node(node, &node->arguments[0], input);
    return node;
}

static void set_list(struct fixture *fixture, struct node *node, size_t argument, const int64_t *items, size_t count) {
    struct value *list = value_set_list(node, &node->arguments[argument], value_list, count);
    for (size_t i = 0; i < count; i++) {
        if (items[i] == -2)
            value_set_symint(node, &list[i], fixture->symbol);
        else
            value_set_integer(node, &list[i], items[i]);
    }
}

static struct node *split_call(struct fixture *fixture, const struct step *step, struct node *input) {
    struct node *node = call(fixture, operation_aten_split_with_sizes_default, input, 3);
    int64_t size;
    assert_true(symint_is_constant(input->type->layout.sizes[step->a], &size));
    set_list(fixture, node, 1, (int64_t[]){step->b, step->c - step->b, size - step->c}, 3);
    value_set_integer(node, &node->arguments[2], step->a);
    assert_int_equal(infer_node(node), REGRAFT_OK);
    return graph_insert_getitem(fixture->graph, fixture->output, node, 1);
}

static struct node *view_call(struct fixture *fixture, const struct step *step, struct node *input) {
    struct node *node = NULL;
    const int64_t numbers[] = {step->a, step->b, step->c, step->d};
    static const struct {
        enum operation_id id;
        size_t numbers;
    } plain[view_kinds] = {[view_slice] = {operation_aten_slice_Tensor, 4},
                           [view_select] = {operation_aten_select_int, 2},
                           [view_unsqueeze] = {operation_aten_unsqueeze_default, 1},
                           [view_squeeze] = {operation_aten_squeeze_dim, 1},
                           [view_unfold] = {operation_aten_unfold_default, 3}};
    if (step->kind == view_split) return split_call(fixture, step, input);
    if (plain[step->kind].numbers) {
        node = call(fixture, plain[step->kind].id, input, 1 + plain[step->kind].numbers);
        for (size_t i = 0; i < plain[step->kind].numbers; i++)
            value_set_integer(node, &node->arguments[1 + i], numbers[i]);
    } else if (step->kind == view_expand) {
        int64_t sizes[most_rank];
        node = call(fixture, operation_aten_expand_default, input, 2);
        for (size_t i = 0; i < input->type->layout.rank; i++) sizes[i] = (int64_t)i == step->a ? step->b : -1;
        set_list(fixture, node, 1, sizes, input->type->layout.rank);
    } else if (step->kind == view_as_strided) {
        node = call(fixture, operation_aten_as_strided_default, input, 4);
        set_list(fixture, node, 1, step->list, step->count);
        set_list(fixture, node, 2, step->strides, step->count);
        value_set_integer(node, &node->arguments[3], step->a);
    } else {
        node =
            call(fixture, step->kind == view_permute ? operation_aten_permute_default : operation_aten_reshape_default,
                 input, 2);
        set_list(fixture, node, 1, step->list, step->count);
    }
    assert_int_equal(infer_node(node), REGRAFT_OK);
    return node;
}

/* ---- random views that are legal for all values of the symbol ---- */

/* Sizes of a reshape of constant dimensions: two neighbours joined or one cut. */
static bool random_reshape(const struct layout *layout, struct step *step) {
    size_t count = 0, chosen = (size_t)below((int64_t)layout->rank);
    bool join = below(2) && chosen + 1 < layout->rank;
    for (size_t i = 0; i < layout->rank; i++) {
        int64_t size, next, divisor = 1 + below(4);
        bool number = symint_is_constant(layout->sizes[i], &size);
        if (i != chosen) {
            step->list[count++] = number ? size : -2;
        } else if (join) {
            if (!number || !symint_is_constant(layout->sizes[i + 1], &next)) return false;
            step->list[count++] = size * next;
            i++;
        } else {
            if (!number || size % divisor || layout->rank + 1 > most_rank) return false;
            step->list[count++] = size / divisor;
            step->list[count++] = divisor;
        }
    }
    step->count = count;
    return true;
}

static bool random_as_strided(struct step *step) {
    int64_t room = 47;
    step->count = (size_t)below(4);
    step->a = below(8);
    room -= step->a;
    for (size_t i = 0; i < step->count; i++) {
        step->list[i] = 1 + below(4);
        step->strides[i] = below(9);
        room -= (step->list[i] - 1) * step->strides[i];
    }
    return room >= 0;
}

static bool random_step(const struct layout *layout, bool symbolic, struct step *step) {
    int64_t size = 0;
    *step = (struct step){.kind = (enum view_kind)below(view_kinds), .d = 1};
    if (step->kind == view_as_strided) return !symbolic && random_as_strided(step);
    if (step->kind == view_unsqueeze) {
        step->a = below((int64_t)layout->rank + 1);
        return layout->rank < most_rank;
    }
    if (!layout->rank) return false;
    if (step->kind == view_permute) {
        step->count = layout->rank;
        for (size_t i = 0; i < layout->rank; i++) step->list[i] = (int64_t)i;
        for (size_t i = layout->rank; i-- > 1;) {
            size_t other = (size_t)below((int64_t)i + 1);
            int64_t moved = step->list[i];
            step->list[i] = step->list[other];
            step->list[other] = moved;
        }
        return true;
    }
    if (step->kind == view_reshape) return random_reshape(layout, step);
    step->a = below((int64_t)layout->rank);
    if (!symint_is_constant(layout->sizes[step->a], &size)) return false;
    if (step->kind == view_squeeze) return size == 1;
    if (step->kind == view_expand) {
        step->b = 1 + below(3);
        return size == 1;
    }
    if (step->kind == view_unfold) {
        step->b = 1 + below(2);
        step->c = 1 + below(3);
        return size >= step->b && layout->rank < most_rank;
    }
    if (step->kind == view_select) {
        if (size) step->b = below(size);
        return size > 0;
    }
    step->b = below(size + 1);
    step->c = step->b + below(size - step->b + 1);
    if (step->kind == view_slice) step->d = 1 + below(3);
    return true;
}

/* ---- comparing ---- */

enum { most_steps = 6 };

struct chain {
    struct step steps[most_steps];
    size_t count;
    struct node *node;
};

struct tally {
    size_t yes, no, unknown;
};

static bool has(const struct walk *walk, int64_t address) {
    for (size_t i = 0; i < walk->count; i++)
        if (walk->addresses[i] == address) return true;
    return false;
}

static bool all_in(const struct walk *outer, const struct walk *inner) {
    for (size_t i = 0; i < inner->count; i++)
        if (!has(outer, inner->addresses[i])) return false;
    return true;
}

static bool none_in(const struct walk *a, const struct walk *b) {
    for (size_t i = 0; i < a->count; i++)
        if (has(b, a->addresses[i])) return false;
    return true;
}

static bool repeats(const struct walk *walk) {
    for (size_t i = 0; i < walk->count; i++)
        for (size_t j = 0; j < i; j++)
            if (walk->addresses[i] == walk->addresses[j]) return true;
    return false;
}

static bool same_walk(const struct walk *a, const struct walk *b) {
    return a->rank == b->rank && memcmp(a->sizes, b->sizes, a->rank * sizeof *a->sizes) == 0 &&
           memcmp(a->addresses, b->addresses, a->count * sizeof *a->addresses) == 0;
}

static void check_answer(enum answer answer, bool truth, bool symbolic, struct tally *tally, const char *question) {
    if (answer == answer_unknown) {
        tally->unknown++;
        if (!symbolic) fail_msg("%s: plain numbers must be decided", question);
        return;
    }
    if ((answer == answer_yes) != truth)
        fail_msg("%s: the answer was %s", question, answer == answer_yes ? "yes" : "no");
    (*(answer == answer_yes ? &tally->yes : &tally->no))++;
}

static void walk_chain(const struct chain *chain, int64_t symbol, bool symbolic, struct walk *walk) {
    *walk = (struct walk){.rank = 3, .sizes = {symbolic ? symbol : 2, 4, 6}};
    count_elements(walk);
    for (size_t i = 0; i < walk->count; i++) walk->addresses[i] = (int64_t)i;
    for (size_t i = 0; i < chain->count; i++) apply(&chain->steps[i], walk, symbol);
}

/* The window that regraft computed has just the addresses of the walk, in order. */
static bool read_symbol(void *user, struct text name, int64_t *value) {
    (void)name;
    *value = *(const int64_t *)user;
    return true;
}

static void check_window(const struct place *place, const struct walk *walk, int64_t symbol) {
    int64_t index[most_rank] = {0}, offset, stride, size;
    assert_int_equal(place->window.layout.rank, walk->rank);
    assert_true(symint_evaluate(place->window.offset, read_symbol, &symbol, &offset));
    for (size_t i = 0; i < walk->rank; i++) {
        assert_true(symint_evaluate(place->window.layout.sizes[i], read_symbol, &symbol, &size));
        assert_int_equal(size, walk->sizes[i]);
    }
    for (size_t n = 0; n < walk->count; n++) {
        int64_t address = offset;
        for (size_t i = 0; i < walk->rank; i++) {
            assert_true(symint_evaluate(place->window.layout.strides[i], read_symbol, &symbol, &stride));
            address += index[i] * stride;
        }
        assert_int_equal(address, walk->addresses[n]);
        advance(walk, index);
    }
}

static void compare(struct context *context, const struct chain *x, const struct chain *y, const struct place *p,
                    const struct place *q, bool symbolic, struct tally *tally) {
    enum answer equal = places_equal(context, &p->window, &q->window),
                disjoint = places_disjoint(context, &p->window, &q->window);
    enum answer contains = place_contains(context, &p->window, &q->window),
                identical = places_identical(context, &p->window, &q->window);
    enum answer overlaps = place_overlaps_itself(context, &p->window);
    static struct walk a, b;
    for (int64_t symbol = symbolic ? 0 : 1; symbol <= (symbolic ? 3 : 1); symbol++) {
        walk_chain(x, symbol, symbolic, &a);
        walk_chain(y, symbol, symbolic, &b);
        check_window(p, &a, symbol);
        check_answer(equal, all_in(&a, &b) && all_in(&b, &a), symbolic, &tally[0], "equal");
        check_answer(disjoint, none_in(&a, &b), symbolic, &tally[1], "disjoint");
        check_answer(contains, all_in(&a, &b), symbolic, &tally[2], "contains");
        check_answer(overlaps, repeats(&a), symbolic, &tally[3], "overlaps itself");
        /* only yes is a statement about elements: places without elements may differ in numbers only */
        if (identical == answer_yes) assert_true(same_walk(&a, &b));
    }
}

static struct fixture make_fixture(struct arena *arena) {
    struct fixture fixture = {.context = {.arena = arena}};
    diagnostics_init(&fixture.context.diagnostics, arena);
    fixture.context.symbols = symbols_create(arena);
    assert_int_equal(operations_create(arena, &fixture.context.diagnostics, &fixture.context.operations), REGRAFT_OK);
    fixture.symbol = symint_symbol(fixture.context.symbols, TEXT("s0"));
    return fixture;
}

static void start_graph(struct fixture *fixture, bool symbolic) {
    struct context *context = &fixture->context;
    symint *sizes = arena_array(context->arena, symint, 3);
    sizes[0] = symbolic ? fixture->symbol : symint_constant(context->symbols, 2);
    sizes[1] = symint_constant(context->symbols, 4);
    sizes[2] = symint_constant(context->symbols, 6);
    fixture->graph = graph_create(context);
    fixture->base = graph_insert_call(fixture->graph, NULL,
                                      operations_by_id(context->operations, operation_aten_empty_memory_format), 1);
    struct layout layout = {3, sizes, layout_contiguous_strides(context->arena, context->symbols, sizes, 3)};
    fixture->base->type = type_make_tensor(context->arena, dtype_f32, layout, (struct device){TEXT("cpu"), -1});
    fixture->base->settled = true;
    fixture->output = graph_insert(fixture->graph, NULL, node_output, TEXT("output"), 0);
}

static void random_chain(struct fixture *fixture, bool symbolic, struct chain *chain) {
    size_t wanted = (size_t)below(most_steps);
    *chain = (struct chain){.node = fixture->base};
    for (size_t tries = 0; chain->count < wanted && tries < 20; tries++) {
        struct step *step = &chain->steps[chain->count];
        if (!random_step(&chain->node->type->layout, symbolic, step)) continue;
        chain->node = view_call(fixture, step, chain->node);
        chain->count++;
        if (!chain->node->type->layout.strides) return; /* a reshape that may copy */
    }
}

/* Calls `body` with an arena that goes afterwards. */
static void with_arena(void (*body)(struct arena *arena, void *user), void *user) {
    struct arena *arena = arena_create(NULL);
    struct arena_guard guard;
    if (arena_guarded(arena, &guard)) fail_msg("out of memory");
    body(arena, user);
    arena_unguard(arena, &guard);
    arena_destroy(arena);
}

struct run {
    bool symbolic;
    struct tally *tally;
    size_t done, exact;
};

static void run_some(struct arena *arena, void *user) {
    struct run *run = user;
    struct fixture fixture = make_fixture(arena);
    for (size_t i = 0; i < 200; i++, run->done += 2) {
        struct chain x, y;
        struct memory *memory;
        start_graph(&fixture, run->symbolic);
        random_chain(&fixture, run->symbolic, &x);
        random_chain(&fixture, run->symbolic, &y);
        assert_int_equal(memory_create(fixture.graph, arena, &memory), REGRAFT_OK);
        const struct place *p = memory_place(memory, x.node), *q = memory_place(memory, y.node);
        if (!p->exact || !q->exact || p->root != fixture.base || q->root != fixture.base) continue;
        run->exact++;
        compare(&fixture.context, &x, &y, p, q, run->symbolic, run->tally);
    }
}

static void run_chains(size_t chains, bool symbolic, struct tally *tally) {
    struct run run = {symbolic, tally, 0, 0};
    while (run.done < chains) with_arena(run_some, &run);
    assert_true(run.exact * 10 > run.done); /* the test is about something */
}

static void print_tally(const char *kind, const struct tally *tally) {
    static const char *const questions[] = {"equal", "disjoint", "contains", "overlaps itself"};
    for (size_t i = 0; i < 4; i++)
        print_message("%s, %s: %zu yes, %zu no, %zu unknown\n", kind, questions[i], tally[i].yes, tally[i].no,
                      tally[i].unknown);
}

static void plain_numbers_are_decided_exactly(void **state) {
    (void)state;
    struct tally tally[4] = {{0}};
    random_state = 1;
    run_chains(100000, false, tally);
    print_tally("numbers", tally);
    for (size_t i = 0; i < 4; i++) assert_int_equal(tally[i].unknown, 0);
}

/* With a symbolic size the answers hold for every value of the symbol; most questions are decided all the same. */
static void symbols_are_never_answered_wrongly(void **state) {
    (void)state;
    struct tally tally[4] = {{0}};
    random_state = 2;
    run_chains(30000, true, tally);
    print_tally("symbols", tally);
}

/* Whether strides exist that give the walk's addresses. */
static bool has_strides(const struct walk *walk) {
    int64_t index[most_rank] = {0}, strides[most_rank] = {0};
    for (size_t d = 0; d < walk->rank && walk->count; d++) {
        int64_t unit[most_rank] = {0};
        unit[d] = 1;
        if (walk->sizes[d] > 1) strides[d] = at(walk, unit) - walk->addresses[0];
    }
    for (size_t n = 0; n < walk->count; n++, advance(walk, index)) {
        int64_t address = walk->addresses[0];
        for (size_t d = 0; d < walk->rank; d++) address += index[d] * strides[d];
        if (address != walk->addresses[n]) return false;
    }
    return true;
}

struct reshapes {
    size_t views, copies;
};

static void run_reshapes(struct arena *arena, void *user) {
    struct reshapes *reshapes = user;
    struct fixture fixture = make_fixture(arena);
    static struct walk walk;
    for (size_t i = 0; i < 20000; i++) {
        struct chain chain;
        struct step step = {.kind = view_reshape};
        struct memory *memory;
        start_graph(&fixture, false);
        random_chain(&fixture, false, &chain);
        const struct layout *layout = &chain.node->type->layout;
        if (!layout->strides || !layout->rank || !random_reshape(layout, &step)) continue;
        assert_int_equal(memory_create(fixture.graph, arena, &memory), REGRAFT_OK);
        if (memory_place(memory, chain.node)->root != fixture.base) continue;
        struct node *node = view_call(&fixture, &step, chain.node);
        assert_int_equal(memory_create(fixture.graph, arena, &memory), REGRAFT_OK);
        bool view = memory_place(memory, node)->root == fixture.base;
        walk_chain(&chain, 1, false, &walk);
        apply(&step, &walk, 1);
        assert_int_equal(view, has_strides(&walk));
        *(view ? &reshapes->views : &reshapes->copies) += 1;
    }
}

/* A reshape is a view exactly where strides exist. */
static void reshapes_copy_only_where_they_must(void **state) {
    (void)state;
    struct reshapes reshapes = {0, 0};
    random_state = 3;
    with_arena(run_reshapes, &reshapes);
    print_message("reshapes: %zu views, %zu copies\n", reshapes.views, reshapes.copies);
    assert_true(reshapes.views > 1000 && reshapes.copies > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_numbers_are_decided_exactly),
        cmocka_unit_test(symbols_are_never_answered_wrongly),
        cmocka_unit_test(reshapes_copy_only_where_they_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
