/* Readers, moved before the write where order allows. Of old contents: then the write needs no copy for them. And of other parts
 * of the same memory: Inductor, which orders by whole buffers, can then fuse them with what is computed before the write
 * (docs/pytorch.md, Order).
 *
 * Done before anything is placed, while each version is a value of its own: what a node reads is there from where that value
 * is made, so that a reader may stand anywhere behind its arguments, as long as no raw call writes their memory in between.
 * Only what computes from its arguments alone is moved, within its piece, and only when that leaves no reader in the way. */
#include "pass/placing.h"

enum { most_moved = 64 }; /* with what they need, for one write */

struct moving {
    struct placing *placing;
    struct node *writer;
    struct node *nodes[most_moved]; /* in an order in which they can stand before the writer */
    uint32_t orders[most_moved];    /* what they had */
    size_t count;
    bool possible;
    const char *why; /* it is not */
};

static void stop(struct moving *moving, const char *format, const struct node *node) {
    moving->possible = false;
    moving->why = text_format(moving->placing->graph->arena, format, TEXT_ARGS(node->name));
}

/* Stops where the node has to stay. */
static void check_node(struct moving *moving, const struct node *node) {
    bool update = node_has_class(node, class_update);
    if (node == moving->writer)
        stop(moving, "it needs what %.*s makes", node);
    else if (update)
        stop(moving, "%.*s is an update, and not moved", node);
    else if (!node_is_pure(node))
        stop(moving, "%.*s may have an effect", node);
    else if (node->piece != moving->writer->piece)
        stop(moving, "%.*s stands in another piece", node);
    else if (moving->count >= most_moved)
        stop(moving, "too many nodes would move with %.*s", node);
}

static void move(struct moving *moving, struct node *node);

static void move_argument(void *user, struct value *value) {
    struct moving *moving = user;
    const struct node *reader = value->use.user;
    struct node *argument = value->use.node;
    const struct place *place = memory_place(moving->placing->memory, argument);
    move(moving, argument);
    if (moving->possible && place->root &&
        memory_written_between(moving->placing->memory, place->root, moving->writer->order - 1, reader->order))
        stop(moving, "%.*s, which it needs, is written in place before it", argument);
}

/* Plans to move the node behind all that it needs; it then counts as standing where the writer does. */
static void move(struct moving *moving, struct node *node) {
    if (!moving->possible || (node->order <= moving->writer->order && node != moving->writer)) return;
    check_node(moving, node);
    if (moving->possible) node_each_use(node, move_argument, moving);
    if (moving->possible && moving->count >= most_moved) stop(moving, "too many nodes would move with %.*s", node);
    if (!moving->possible) return;
    moving->nodes[moving->count] = node;
    moving->orders[moving->count++] = node->order;
    node->order = moving->writer->order;
}

static void give_up(struct moving *moving) {
    while (moving->count--) moving->nodes[moving->count]->order = moving->orders[moving->count];
}

/* `why`: what the writer does. */
static void carry_out(struct moving *moving, const char *why) {
    struct graph *graph = moving->placing->graph;
    for (size_t i = 0; i < moving->count; i++) {
        graph_move(graph, moving->nodes[i], moving->writer);
        graph_remark(graph, moving->nodes[i], true, "moved before %.*s, which %s", TEXT_ARGS(moving->writer->name),
                     why);
    }
}

/* Moves all that read the place behind the writer, or none. */
static void make_room(struct placing *placing, struct node *writer, const struct place *place) {
    struct moving moving = {.placing = placing, .writer = writer, .possible = true};
    struct node *reader, *last = NULL;
    if (placing_memory_obstacle(placing, place, writer)) return;
    while (moving.possible && (reader = placing_reader(placing, place, writer))) move(&moving, last = reader);
    if (moving.possible) {
        carry_out(&moving, "overwrites what was read");
        return;
    }
    *map_slot(placing->kept_behind, &last->index, sizeof last->index) = (void *)moving.why;
    give_up(&moving);
}

static bool is_view(const struct node *node) { return node->kind == node_getitem || node_has_class(node, class_view); }

struct reading {
    struct placing *placing;
    const struct node *written;
    bool beside; /* nothing of what is written was read so far */
};

static void look_at_reading(void *user, struct value *value) {
    struct reading *reading = user;
    reading->beside = reading->beside && !placing_overlap(reading->placing, value->use.node, reading->written);
}

/* Whether none of the nodes that would be moved reads what the writer writes: in a live graph such stay where they are. */
static bool all_read_beside(struct moving *moving, const struct node *written) {
    struct reading reading = {.placing = moving->placing, .written = written, .beside = true};
    for (size_t i = 0; i < moving->count; i++)
        if (!is_view(moving->nodes[i])) node_each_use(moving->nodes[i], look_at_reading, &reading);
    return reading.beside;
}

static bool overwrites_nothing_read(struct moving *moving) {
    const struct node *call = moving->writer;
    const struct operation *operation = node_called_operation(call);
    for (size_t i = 0; i < operation->schema.argument_count; i++) {
        const struct schema_argument *argument = &operation->schema.arguments[i];
        const struct value *value = argument->written ? functionalized_keyword(call, argument->name) : NULL;
        const struct node *written = value ? value_as_node(value) : NULL;
        if (written && !all_read_beside(moving, written)) return false;
    }
    return true;
}

static void move_users(struct moving *moving, struct node *value) {
    for (struct value *use = value->users; moving->possible && use; use = use->use.next) {
        struct node *user = use->use.user;
        if (is_view(user))
            move_users(moving, user);
        else if (node_is_generated(user))
            move(moving, user);
    }
}

/* Plans to move a reader with all that is computed from it, up to the calls of other kernels and the results: those need it in
 * memory anyway. Left behind, any of that could be computed by the code that computes the reader, from memory that is there
 * already; in front it would be a value more, in memory. */
static void move_with_users(struct moving *moving, struct node *reader) {
    move(moving, reader);
    for (size_t i = 0; moving->possible && i < moving->count; i++)
        if (!is_view(moving->nodes[i])) move_users(moving, moving->nodes[i]);
}

/* Moves each that computes from `value` or a view of it, where that lies apart from what the call will write. */
static void lift_readers(struct placing *placing, struct node *call, struct node *value) {
    for (struct value *use = value->users; use; use = use->use.next) {
        struct node *user = use->use.user;
        if (is_view(user)) {
            if (memory_root(placing->memory, user) == memory_root(placing->memory, value))
                lift_readers(placing, call, user);
            continue;
        }
        if (user->order <= call->order || !node_is_generated(user)) continue;
        struct moving moving = {.placing = placing, .writer = call, .possible = true};
        move_with_users(&moving, user);
        if (moving.possible && overwrites_nothing_read(&moving))
            carry_out(&moving, "writes beside what is read");
        else
            give_up(&moving);
    }
}

static void make_room_for_call(struct placing *placing, struct node *call) {
    const struct operation *operation = node_called_operation(call);
    for (size_t i = 0; operation && i < operation->schema.argument_count; i++) {
        const struct schema_argument *argument = &operation->schema.arguments[i];
        const struct value *value = argument->written ? functionalized_keyword(call, argument->name) : NULL;
        struct node *written = value ? value_as_node(value) : NULL;
        const struct place *place = written ? memory_place(placing->memory, written) : NULL;
        if (!place || !place->root) continue;
        if (!placing->graph->order_stays) make_room(placing, call, place);
        lift_readers(placing, call, place->root);
    }
}

static regraft_status make_room_for_update(struct placing *placing, struct node *update) {
    struct update_place written;
    struct symbols *symbols = placing->graph->context->symbols;
    TRY(memory_update(placing->memory, update, &written));
    const struct place *own = memory_place(placing->memory, update),
                       *base = written.base ? memory_place(placing->memory, written.base) : NULL;
    if (!base || !base->exact || !own->exact) return REGRAFT_OK;
    struct place place = *base;
    if (written.exact) { /* in the memory of the base, which lies as the update does */
        symint shift = symint_subtract(symbols, base->window.offset, own->window.offset);
        place.window = written.window;
        place.window.offset = symint_add(symbols, place.window.offset, shift);
    }
    make_room(placing, update, &place);
    return REGRAFT_OK;
}

regraft_status place_readers(struct graph *graph, struct arena *scratch, struct map **kept_behind) {
    struct placing placing;
    TRY(placing_start(&placing, graph, scratch));
    *kept_behind = placing.kept_behind;
    for (struct node *node = graph->first; node; node = node->next) {
        if (node_is(node, operation_higher_order_auto_functionalized)) make_room_for_call(&placing, node);
        bool update = node_has_class(node, class_update);
        if (update && node->type->kind == type_tensor && !graph->order_stays) TRY(make_room_for_update(&placing, node));
    }
    return REGRAFT_OK;
}
