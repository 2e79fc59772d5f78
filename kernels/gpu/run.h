/* One call of an operation: its arguments checked, its kernel found or made, then launched. */
#ifndef REGRAFT_GPU_RUN_H
#define REGRAFT_GPU_RUN_H

#include "common/check.h"
#include "gpu/gpu.h"

/* For the checks that CPU and GPU share: messages go to the device's. */
struct check gpu_checks(regraft_gpu *gpu, const regraft_gpu_launch *launch);

/* REGRAFT_UNSUPPORTED when a number that a kernel holds in 32 bits is larger than `most`. */
regraft_status gpu_check_limit(regraft_gpu *gpu, const char *name, int64_t value, int64_t most);
enum { GPU_MOST_HEADS = 1 << 16, GPU_MOST_HEAD_SIZE = 1 << 14, GPU_MOST_ROW = 1 << 20 };

/* `tokens` 0: nothing is launched. `parameters`: the kernel's one argument. */
regraft_status gpu_run(regraft_gpu *gpu, struct specialisation *specialisation, gpu_choose *choose,
                       const regraft_gpu_launch *launch, int64_t tokens, void *parameters);

#endif
