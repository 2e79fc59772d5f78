/* A device: opened, named, closed. */
#include "gpu/gpu.h"
#include "gpu/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

regraft_status gpu_fail(regraft_gpu *gpu, regraft_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(gpu->message, sizeof gpu->message, format, arguments);
    va_end(arguments);
    return status;
}

regraft_status gpu_check(regraft_gpu *gpu, int result, const char *what) {
    if (result == 0) return REGRAFT_OK;
    const char *name = NULL, *text = NULL;
    gpu->driver.error_name(result, &name);
    gpu->driver.error_text(result, &text);
    return gpu_fail(gpu, REGRAFT_UNSUPPORTED, "%s: %s (%s)", what, name ? name : "unknown error", text ? text : "");
}

/* With the driver open: the device and its properties. */
static regraft_status open_device(regraft_gpu *gpu, int number) {
    const struct gpu_driver *driver = &gpu->driver;
    char name[128] = "";
    int result = driver->initialise(0);
    if (!result) result = driver->driver_version(&gpu->driver_version);
    if (!result) result = driver->device_get(&gpu->device, number);
    if (!result) result = driver->device_name(name, sizeof name, gpu->device);
    if (!result) result = driver->device_attribute(&gpu->multiprocessors, GPU_MULTIPROCESSORS, gpu->device);
    if (!result) result = driver->device_attribute(&gpu->major, GPU_MAJOR, gpu->device);
    if (!result) result = driver->device_attribute(&gpu->minor, GPU_MINOR, gpu->device);
    if (!result) result = driver->context_retain(&gpu->context, gpu->device);
    if (result) return gpu_check(gpu, result, "no GPU can be used");
    snprintf(gpu->name, sizeof gpu->name, "%s, sm_%d%d, CUDA driver %d.%d", name, gpu->major, gpu->minor,
             gpu->driver_version / 1000, gpu->driver_version % 1000 / 10);
    return REGRAFT_OK;
}

static regraft_status create(const regraft_gpu_options *options, regraft_gpu *gpu) {
    if (options->struct_size != sizeof *options || options->device < 0)
        return gpu_fail(gpu, REGRAFT_REJECTED, "options: start from REGRAFT_GPU_OPTIONS_INIT; device is 0 or more");
    if (!options->cache_folder)
        store_default_folder(gpu->cache_folder, sizeof gpu->cache_folder);
    else if (snprintf(gpu->cache_folder, sizeof gpu->cache_folder, "%s", options->cache_folder) >=
             (int)sizeof gpu->cache_folder)
        return gpu_fail(gpu, REGRAFT_REJECTED, "cache_folder: %zu bytes are too many", strlen(options->cache_folder));
    regraft_status status = gpu_driver_open(&gpu->driver, gpu_driver_names, gpu->message, sizeof gpu->message);
    return status == REGRAFT_OK ? open_device(gpu, options->device) : status;
}

regraft_status regraft_gpu_create(const regraft_gpu_options *options, regraft_gpu **gpu, char *message,
                                  size_t message_size) {
    static const regraft_gpu_options standard = REGRAFT_GPU_OPTIONS_INIT;
    regraft_gpu *created = calloc(1, sizeof *created);
    *gpu = NULL;
    if (message && message_size) message[0] = 0;
    if (!created) return REGRAFT_NO_MEMORY;
    regraft_status status = create(options ? options : &standard, created);
    if (status == REGRAFT_OK) {
        *gpu = created;
        return status;
    }
    if (message && message_size) snprintf(message, message_size, "%s", created->message);
    free(created);
    return status;
}

void regraft_gpu_destroy(regraft_gpu *gpu) {
    if (!gpu) return;
    void *previous;
    if (gpu->driver.context_push(gpu->context) == 0) {
        for (size_t i = 0; i < gpu->kernel_count; i++) gpu->driver.module_unload(gpu->kernels[i].module);
        gpu->driver.context_pop(&previous);
    }
    gpu->driver.context_release(gpu->device);
    free(gpu->kernels);
    free(gpu); /* the libraries stay open: other threads may be inside */
}

const char *regraft_gpu_message(const regraft_gpu *gpu) { return gpu->message; }
const char *regraft_gpu_name(const regraft_gpu *gpu) { return gpu->name; }
