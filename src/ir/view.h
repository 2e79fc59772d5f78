/* What view operations do to a layout: the windows that their results are. */
#ifndef REGRAFT_IR_VIEW_H
#define REGRAFT_IR_VIEW_H

#include "ir/infer.h"

enum window_kind {
    window_view,   /* the result is this window onto the argument's buffer */
    window_copy,   /* the result is fresh memory: a reshape or contiguous() that had to copy */
    window_unknown /* it aliases the argument or is fresh; which, or where, cannot be told */
};

/* Of a result: its sizes (strides when known), and how far its first element lies behind the argument's first element.
 * `absolute`: the offset counts from the start of the storage instead (as_strided). */
struct window {
    enum window_kind kind;
    struct layout layout;
    symint offset;
    bool absolute;
};

/* The windows of a call of class view on an argument of `input` layout: several for split and its kin. *count is 0 when
 * not even their number can be told. */
regraft_status view_windows(const struct inference *inference, const struct layout *input, struct window **windows,
                            size_t *count);

/* The same of a call as it stands: what its inference found, while that is still true. */
regraft_status node_windows(const struct node *call, struct window **windows, size_t *count);

/* The window that an update (slice_scatter, select_scatter, ...) replaces in an argument of `input` layout. window_unknown
 * for index_put and its kin, which write somewhere inside. */
regraft_status update_window(const struct inference *inference, const struct layout *input, struct window *window);

#endif
