/* Reading files, plain or gzip. */
#include "fx/load.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

/* A deflate stream grows at most 1032 times, so a small file cannot ask for more than that; and no log needs more than: */
enum { most_growth = 1032, most_bytes = 1 << 30 };
/* A large text grows some ten times; one that grows this much is no text. */
enum { largest_unsuspected = 1 << 26, most_growth_of_text = 250 };

/* ---- files ---- */

static void close_file(void *holder) {
    FILE *file = *(FILE **)holder;
    if (file) fclose(file);
}

/* A buffer that doubles; what it outgrew stays in the arena. */
struct buffer {
    struct arena *arena;
    char *data;
    size_t length, capacity;
};

static void buffer_grow(struct buffer *buffer, size_t capacity) {
    char *data = arena_allocate(buffer->arena, capacity);
    if (buffer->length) memcpy(data, buffer->data, buffer->length);
    buffer->data = data;
    buffer->capacity = capacity;
}

static size_t size_hint(FILE *file) {
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size >= 0) rewind(file);
    return size > 0 && size < most_bytes ? (size_t)size + 1 : 64 * 1024;
}

static regraft_status read_stream(struct context *context, FILE *file, const char *name, struct text *bytes) {
    struct buffer buffer = {.arena = context->arena};
    struct position nowhere = {0};
    buffer_grow(&buffer, file == stdin ? 64 * 1024 : size_hint(file));
    for (size_t count; (count = fread(buffer.data + buffer.length, 1, buffer.capacity - buffer.length, file)) > 0;) {
        buffer.length += count;
        if (buffer.length > most_bytes)
            return fail(&context->diagnostics, REGRAFT_REJECTED, nowhere, "'%s' has more than %d bytes", name,
                        most_bytes);
        if (buffer.length == buffer.capacity) buffer_grow(&buffer, buffer.capacity * 2);
    }
    if (ferror(file))
        return fail(&context->diagnostics, REGRAFT_REJECTED, nowhere, "cannot read '%s': %s", name, strerror(errno));
    *bytes = (struct text){buffer.data, buffer.length};
    return REGRAFT_OK;
}

regraft_status load_file(struct context *context, const char *path, struct text *bytes) {
    if (strcmp(path, "-") == 0) return read_stream(context, stdin, "<stdin>", bytes);
    struct position nowhere = {0};
    struct arena *scratch = arena_child(context->arena); /* closes the file, also when memory runs out */
    FILE **file = arena_new(scratch, FILE *);
    arena_defer(scratch, close_file, file);
    *file = fopen(path, "rb");
    regraft_status status =
        *file ? read_stream(context, *file, path, bytes)
              : fail(&context->diagnostics, REGRAFT_REJECTED, nowhere, "cannot open '%s': %s", path, strerror(errno));
    arena_destroy(scratch);
    return status;
}

/* ---- gzip ---- */

static void *allocate_for_zlib(void *arena, unsigned count, unsigned size) { return arena_zeroed(arena, count, size); }

static void keep_for_zlib(void *arena, void *memory) {
    (void)arena;
    (void)memory;
}

static bool is_gzip(const unsigned char *bytes, size_t length) {
    return length > 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/* Whether this many bytes of gzip data can be that many of text. */
static bool is_plausible(size_t taken, size_t size) {
    return size / most_growth <= taken && (size <= largest_unsuspected || size / most_growth_of_text <= taken);
}

/* The size that the trailer gives, when it can be true: that of the last member, modulo 2^32. */
static size_t inflated_size(struct text bytes) {
    uint32_t size = 0;
    for (size_t i = 0; i < 4 && bytes.length >= 4; i++)
        size = size << 8 | (unsigned char)bytes.data[bytes.length - 1 - i];
    return size < most_bytes && is_plausible(bytes.length, size) ? (size_t)size + 1 : 64 * 1024;
}

/* Inflates until the stream or the output buffer ends. */
static int inflate_some(z_stream *stream, struct buffer *buffer) {
    stream->next_out = (unsigned char *)buffer->data + buffer->length;
    stream->avail_out = (unsigned)(buffer->capacity - buffer->length);
    int result = inflate(stream, Z_NO_FLUSH);
    buffer->length = buffer->capacity - stream->avail_out;
    if (result == Z_STREAM_END && is_gzip(stream->next_in, stream->avail_in)) return inflateReset(stream);
    return result;
}

regraft_status load_inflate(struct context *context, struct text bytes, struct source *source) {
    struct buffer buffer = {.arena = context->arena};
    struct position start = {source, 0, 0};
    source->contents = bytes;
    if (!is_gzip((const unsigned char *)bytes.data, bytes.length)) return REGRAFT_OK;
    source->contents = TEXT(""); /* for messages: no line of it can be shown */
    z_stream stream = {.zalloc = allocate_for_zlib,
                       .zfree = keep_for_zlib,
                       .opaque = context->arena,
                       .next_in = (unsigned char *)(uintptr_t)bytes.data,
                       .avail_in = (unsigned)bytes.length};
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return fail(&context->diagnostics, REGRAFT_INTERNAL, start, "zlib does not start");
    buffer_grow(&buffer, inflated_size(bytes));
    int result = Z_OK;
    while (result == Z_OK) {
        result = inflate_some(&stream, &buffer);
        size_t taken = bytes.length - stream.avail_in;
        if (buffer.length > most_bytes)
            return fail(&context->diagnostics, REGRAFT_REJECTED, start, "the file has more than %d bytes when inflated",
                        most_bytes);
        if (!is_plausible(taken, buffer.length))
            return fail(&context->diagnostics, REGRAFT_REJECTED, start,
                        "%zu bytes of gzip data make %zu bytes: more than %d times as many, which no graph or log does",
                        taken, buffer.length, most_growth_of_text);
        if (result == Z_OK && buffer.length == buffer.capacity) buffer_grow(&buffer, buffer.capacity * 2);
    }
    if (result == Z_BUF_ERROR)
        return fail(&context->diagnostics, REGRAFT_REJECTED, start, "the gzip data is cut off; expected a whole file");
    if (result != Z_STREAM_END)
        return fail(&context->diagnostics, REGRAFT_REJECTED, start, "the gzip data is damaged: %s",
                    stream.msg ? stream.msg : "not deflate");
    source->contents = (struct text){buffer.data, buffer.length};
    return REGRAFT_OK;
}
