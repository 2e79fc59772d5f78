/* Memory, streams, graphs and events of the CUDA driver, for the tests and the measurements of the GPU's kernels. */
#ifndef CUDA_H
#define CUDA_H

#include <stddef.h>
#include <stdint.h>

#define CUDA_FUNCTIONS(FUNCTION)                                                                                       \
    FUNCTION(allocate, "cuMemAlloc_v2", (uint64_t * address, size_t size))                                             \
    FUNCTION(release, "cuMemFree_v2", (uint64_t address))                                                              \
    FUNCTION(to_device, "cuMemcpyHtoD_v2", (uint64_t to, const void *from, size_t size))                               \
    FUNCTION(to_host, "cuMemcpyDtoH_v2", (void *to, uint64_t from, size_t size))                                       \
    FUNCTION(copy, "cuMemcpyDtoDAsync_v2", (uint64_t to, uint64_t from, size_t size, void *stream))                    \
    FUNCTION(set, "cuMemsetD8Async", (uint64_t to, unsigned char value, size_t count, void *stream))                   \
    FUNCTION(context_retain, "cuDevicePrimaryCtxRetain", (void **context, int device))                                 \
    FUNCTION(context_set, "cuCtxSetCurrent", (void *context))                                                          \
    FUNCTION(stream_create, "cuStreamCreate", (void **stream, unsigned flags))                                         \
    FUNCTION(stream_wait, "cuStreamSynchronize", (void *stream))                                                       \
    FUNCTION(capture_begin, "cuStreamBeginCapture_v2", (void *stream, int mode))                                       \
    FUNCTION(capture_end, "cuStreamEndCapture", (void *stream, void **graph))                                          \
    FUNCTION(graph_ready, "cuGraphInstantiateWithFlags", (void **executable, void *graph, unsigned long long flags))   \
    FUNCTION(graph_launch, "cuGraphLaunch", (void *executable, void *stream))                                          \
    FUNCTION(graph_release, "cuGraphDestroy", (void *graph))                                                           \
    FUNCTION(executable_release, "cuGraphExecDestroy", (void *executable))                                             \
    FUNCTION(event_create, "cuEventCreate", (void **event, unsigned flags))                                            \
    FUNCTION(event_record, "cuEventRecord", (void *event, void *stream))                                               \
    FUNCTION(event_elapsed, "cuEventElapsedTime", (float *milliseconds, void *start, void *end))

struct cuda {
#define CUDA_FIELD(name, symbol, arguments) int(*name) arguments;
    CUDA_FUNCTIONS(CUDA_FIELD)
#undef CUDA_FIELD
    void *stream;
};

/* Opens the driver, makes device 0's context current and a stream. 0 when there is no GPU. */
int cuda_open(struct cuda *cuda);

/* Ends the program with a message when `result`, of the call written as `call`, is an error. */
void cuda_check(int result, const char *call);
#define CUDA(call) cuda_check(call, #call)

/* Address arithmetic on the device: numbers in the driver's interface, pointers in the kernels'. */
static inline void *cuda_pointer(uint64_t address) { return (void *)(uintptr_t)address; }

#endif
