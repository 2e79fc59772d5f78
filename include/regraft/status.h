/* What both public headers use: the outcome of a call, and the mark of a public function. */
#ifndef REGRAFT_STATUS_H
#define REGRAFT_STATUS_H

#if defined(_WIN32)
#define REGRAFT_API
#else
#define REGRAFT_API __attribute__((visibility("default")))
#endif

/* The outcome of a call. The values are the exit codes of the tool; they never change their meaning. */
typedef enum regraft_status {
    REGRAFT_OK = 0,
    REGRAFT_DIFFERENT = 1,   /* a comparison or a check failed */
    REGRAFT_USAGE = 2,       /* an unknown pass, option or name was asked for */
    REGRAFT_REJECTED = 3,    /* the input is malformed or contradicts itself */
    REGRAFT_UNSUPPORTED = 4, /* the input is well-formed, but this version or this machine cannot do it */
    REGRAFT_NO_MEMORY = 69,  /* the allocator returned NULL; the context can only be destroyed */
    REGRAFT_INTERNAL = 70    /* our own fault; the message says where */
} regraft_status;

#endif
