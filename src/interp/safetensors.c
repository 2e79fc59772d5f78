#define _POSIX_C_SOURCE 200809L /* mkstemp, fdopen */
#include "interp/safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

enum { prefix_length = 8, largest_header = 100 * 1000 * 1000 };

struct reader {
    struct arena *arena;
    struct diagnostics *diagnostics;
    const char *name;
    const unsigned char *bytes;
    size_t length, data_start, data_length;
};

/* Where the bytes of one tensor lie, to look for holes and overlaps. */
struct extent {
    size_t begin, end;
    const char *name;
};

#define REJECT(reader, offset, ...)                                                                                    \
    fail((reader)->diagnostics, REGRAFT_REJECTED, (struct position){0}, "%s: byte %zu: %s", (reader)->name,            \
         (size_t)(offset), text_format((reader)->arena, __VA_ARGS__))

static regraft_status read_prefix(struct reader *reader, size_t *header_length) {
    uint64_t length = 0;
    if (reader->length < prefix_length)
        return REJECT(reader, reader->length, "the file ends within the 8 bytes of the header's length");
    for (size_t i = 0; i < prefix_length; i++) length |= (uint64_t)reader->bytes[i] << (8 * i);
    if (length > largest_header)
        return REJECT(reader, 0, "the header is said to have %llu bytes; at most %d are allowed",
                      (unsigned long long)length, largest_header);
    if (length > reader->length - prefix_length)
        return REJECT(reader, 0, "the header is said to have %llu bytes, but only %zu follow",
                      (unsigned long long)length, reader->length - prefix_length);
    *header_length = (size_t)length;
    return REGRAFT_OK;
}

static regraft_status parse_header(struct reader *reader, size_t length, json_t **header) {
    json_error_t error;
    const char *text = (const char *)reader->bytes + prefix_length;
    if (length == 0 || text[0] != '{') return REJECT(reader, prefix_length, "expected '{', the start of the header");
    *header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!*header && json_lacked_memory(&error)) arena_exhausted(reader->arena);
    if (!*header)
        return REJECT(reader, prefix_length + (size_t)(error.position > 0 ? error.position : 0),
                      "the header is not JSON as the format wants it: %s", error.text);
    arena_defer(reader->arena, json_release, *header);
    return REGRAFT_OK;
}

static regraft_status read_shape(struct reader *reader, const char *name, const json_t *list, struct shape *shape) {
    if (!json_is_array(list)) return REJECT(reader, prefix_length, "tensor '%s': 'shape' must be a list", name);
    shape->rank = json_array_size(list);
    if (shape->rank > rank_limit)
        return REJECT(reader, prefix_length, "tensor '%s' has %zu dimensions; at most %d are supported", name,
                      shape->rank, rank_limit);
    for (size_t i = 0; i < shape->rank; i++) {
        const json_t *size = json_array_get(list, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return REJECT(reader, prefix_length, "tensor '%s': sizes must be integers from 0 on", name);
        shape->sizes[i] = json_integer_value(size);
    }
    return REGRAFT_OK;
}

static regraft_status read_offsets(struct reader *reader, const char *name, const json_t *list, struct extent *extent) {
    const json_t *begin = json_array_get(list, 0), *end = json_array_get(list, 1);
    if (json_array_size(list) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return REJECT(reader, prefix_length, "tensor '%s': 'data_offsets' must be a list of two integers", name);
    json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > reader->data_length)
        return REJECT(reader, prefix_length,
                      "tensor '%s': its data [%lld, %lld) does not lie within the %zu bytes of data", name,
                      (long long)from, (long long)to, reader->data_length);
    *extent = (struct extent){(size_t)from, (size_t)to, name};
    return REGRAFT_OK;
}

static regraft_status read_tensor(struct reader *reader, const char *name, const json_t *entry, struct tensor *tensor,
                                  struct extent *extent) {
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype)
        return REJECT(reader, prefix_length, "tensor '%s': expected an object whose 'dtype' names the element type",
                      name);
    *tensor = (struct tensor){.dtype = dtype_from_safetensors_name(text_of(dtype))};
    if (tensor->dtype == dtype_none || tensor->dtype == dtype_f4e2m1fnx2)
        return REJECT(reader, prefix_length, "tensor '%s': the element type '%s' is not supported", name, dtype);
    TRY(read_shape(reader, name, json_object_get(entry, "shape"), &tensor->shape));
    TRY(read_offsets(reader, name, json_object_get(entry, "data_offsets"), extent));
    int64_t count = tensor_count(tensor);
    size_t size = extent->end - extent->begin, item = dtype_size(tensor->dtype);
    if (count < 0 || (uint64_t)count > SIZE_MAX / item || (size_t)count * item != size)
        return REJECT(reader, reader->data_start + extent->begin,
                      "tensor '%s': %s%s does not take the %zu bytes that its offsets give", name,
                      dtype_abbreviation(tensor->dtype), shape_print(reader->arena, &tensor->shape), size);
    shape_contiguous_strides(&tensor->shape, tensor->strides);
    tensor->storage = arena_new(reader->arena, struct storage);
    /* The bytes are only read: whoever runs a graph on them copies first. */
    tensor->storage->bytes = (unsigned char *)(uintptr_t)(reader->bytes + reader->data_start + extent->begin);
    tensor->storage->size = size;
    return REGRAFT_OK;
}

static regraft_status read_metadata(struct reader *reader, json_t *entry, struct tensor_set *set) {
    const char *key;
    json_t *value;
    if (!json_is_object(entry)) return REJECT(reader, prefix_length, "'__metadata__' must be an object");
    json_object_foreach(entry, key, value) {
        if (!json_is_string(value))
            return REJECT(reader, prefix_length, "'__metadata__': the value of '%s' must be a string", key);
        struct text bytes = {json_string_value(value), json_string_length(value)};
        vector_push(reader->arena, &set->metadata,
                    (struct named_text){text_copy(reader->arena, text_of(key)), text_copy(reader->arena, bytes)});
    }
    return REGRAFT_OK;
}

static int compare_extents(const void *a, const void *b) {
    const struct extent *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The data must be covered once, without holes. */
static regraft_status check_extents(struct reader *reader, struct extent *extents, size_t count) {
    size_t end = 0;
    const char *before = "the start of the data";
    if (count) qsort(extents, count, sizeof *extents, compare_extents);
    for (size_t i = 0; i < count; i++) {
        if (extents[i].begin != end)
            return REJECT(reader, reader->data_start + extents[i].begin, "tensor '%s' %s '%s'", extents[i].name,
                          extents[i].begin < end ? "overlaps" : "leaves a hole after", before);
        end = extents[i].end;
        before = extents[i].name;
    }
    if (end != reader->data_length)
        return REJECT(reader, reader->data_start + end, "%zu bytes at the end belong to no tensor",
                      reader->data_length - end);
    return REGRAFT_OK;
}

regraft_status safetensors_read(struct arena *arena, struct diagnostics *diagnostics, const char *name,
                                const unsigned char *bytes, size_t length, struct tensor_set *set) {
    struct reader reader = {arena, diagnostics, name, bytes, length, 0, 0};
    size_t header_length = 0, count = 0;
    json_t *header = NULL, *entry;
    const char *key;
    tensor_set_init(set, arena);
    TRY(read_prefix(&reader, &header_length));
    TRY(parse_header(&reader, header_length, &header));
    reader.data_start = prefix_length + header_length;
    reader.data_length = length - reader.data_start;
    struct extent *extents = arena_array(arena, struct extent, json_object_size(header));
    json_object_foreach(header, key, entry) {
        struct tensor tensor;
        if (strcmp(key, "__metadata__") == 0) {
            TRY(read_metadata(&reader, entry, set));
            continue;
        }
        TRY(read_tensor(&reader, key, entry, &tensor, &extents[count++]));
        tensor_set_put(set, text_of(key), &tensor);
    }
    return check_extents(&reader, extents, count);
}

/* ---- files ---- */

static regraft_status failed(struct diagnostics *diagnostics, const char *what, const char *path) {
    return fail(diagnostics, REGRAFT_REJECTED, (struct position){0}, "cannot %s '%s': %s", what, path, strerror(errno));
}

static void close_file(void *file) { fclose(file); }

regraft_status safetensors_load(struct arena *arena, struct diagnostics *diagnostics, const char *path,
                                struct tensor_set *set) {
    struct arena *scratch = arena_child(arena); /* closes the file, whatever happens */
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info) != 0) {
        regraft_status status = failed(diagnostics, "open", path);
        if (file) fclose(file);
        arena_destroy(scratch);
        return status;
    }
    arena_defer(scratch, close_file, file);
    size_t length = S_ISREG(info.st_mode) && info.st_size > 0 ? (size_t)info.st_size : 0;
    unsigned char *bytes = arena_allocate(arena, length);
    bool whole = S_ISREG(info.st_mode) && fread(bytes, 1, length, file) == length;
    regraft_status status =
        whole ? REGRAFT_OK
              : fail(diagnostics, REGRAFT_REJECTED, (struct position){0},
                     "cannot read '%s': it is not a regular file or was cut off while being read", path);
    arena_destroy(scratch);
    TRY(status);
    return safetensors_read(arena, diagnostics, path, bytes, length, set);
}

static json_t *header_entry(const struct tensor *tensor, size_t begin, size_t end) {
    json_t *sizes = json_array();
    for (size_t i = 0; i < tensor->shape.rank; i++) json_array_append_new(sizes, json_integer(tensor->shape.sizes[i]));
    return json_pack("{s:s,s:o,s:[I,I]}", "dtype", dtype_safetensors_name(tensor->dtype), "shape", sizes,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

/* The header, padded with spaces to a multiple of 8. */
static struct text make_header(struct arena *arena, const struct tensor_set *set) {
    json_t *header = json_object(), *metadata = json_object();
    size_t offset = 0;
    if (!header || !metadata) arena_exhausted(arena);
    arena_defer(arena, json_release, header);
    for (size_t i = 0; i < set->metadata.count; i++) {
        struct text value = set->metadata.items[i].value;
        if (json_object_set_new(metadata, text_string(arena, set->metadata.items[i].name),
                                json_stringn(value.data, value.length)) != 0)
            arena_exhausted(arena);
    }
    if (set->metadata.count) json_object_set(header, "__metadata__", metadata);
    json_decref(metadata);
    for (size_t i = 0; i < set->items.count; i++) {
        const struct named_tensor *item = set->items.items[i];
        size_t end = offset + (size_t)tensor_count(&item->tensor) * dtype_size(item->tensor.dtype);
        if (json_object_set_new(header, text_string(arena, item->name), header_entry(&item->tensor, offset, end)) != 0)
            arena_exhausted(arena);
        offset = end;
    }
    size_t length = json_dumpb(header, NULL, 0, JSON_COMPACT);
    char *text = arena_allocate(arena, length);
    if (length == 0 || json_dumpb(header, text, length, JSON_COMPACT) != length) arena_exhausted(arena);
    struct builder out;
    builder_init(&out, arena);
    builder_add(&out, (struct text){text, length});
    while (out.length % prefix_length) builder_byte(&out, ' ');
    return builder_text(&out);
}

static bool write_contents(FILE *file, struct text header, const struct tensor_set *set) {
    unsigned char prefix[prefix_length];
    for (size_t i = 0; i < prefix_length; i++) prefix[i] = (unsigned char)((uint64_t)header.length >> (8 * i));
    fwrite(prefix, 1, sizeof prefix, file);
    fwrite(header.data, 1, header.length, file);
    for (size_t i = 0; i < set->items.count; i++) {
        const struct tensor *tensor = &set->items.items[i]->tensor;
        for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk))
            fwrite(tensor_at(tensor, walk.position[0]), dtype_size(tensor->dtype), 1, file);
    }
    return fflush(file) == 0 && !ferror(file);
}

/* Devices and pipes cannot be replaced; they are written as they are. */
static bool is_replaceable(const char *path) {
    struct stat info;
    return stat(path, &info) != 0 || S_ISREG(info.st_mode);
}

static regraft_status save_direct(struct diagnostics *diagnostics, const char *path, struct text header,
                                  const struct tensor_set *set) {
    FILE *file = fopen(path, "wb");
    bool written = file && write_contents(file, header, set);
    if (file && fclose(file) != 0) written = false;
    return written ? REGRAFT_OK : failed(diagnostics, "write", path);
}

regraft_status safetensors_save(struct arena *arena, struct diagnostics *diagnostics, const char *path,
                                const struct tensor_set *set) {
    struct text header = make_header(arena, set);
    if (!is_replaceable(path)) return save_direct(diagnostics, path, header, set);
    char *temporary = arena_copy(arena, text_format(arena, "%s.XXXXXX", path), strlen(path) + sizeof ".XXXXXX");
    int descriptor = mkstemp(temporary);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    bool written =
        file && write_contents(file, header, set) && fchmod(descriptor, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) == 0;
    if (file && fclose(file) != 0) written = false;
    if (!file && descriptor >= 0) close(descriptor);
    if (written && rename(temporary, path) == 0) return REGRAFT_OK;
    regraft_status status = failed(diagnostics, "write", path);
    if (descriptor >= 0) unlink(temporary);
    return status;
}
