/* Results and messages. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/tool.h"

regraft_status tool_error(regraft_status status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("regraft: error: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    return status;
}

static bool write_all(FILE *stream, struct text contents) {
    return fwrite(contents.data, 1, contents.length, stream) == contents.length && fflush(stream) == 0;
}

static regraft_status write_failed(const char *path) {
    return tool_error(REGRAFT_REJECTED, "cannot write '%s': %s", path, strerror(errno));
}

static regraft_status write_direct(const char *path, struct text contents) {
    FILE *stream = fopen(path, "wbe");
    if (!stream) return write_failed(path);
    bool written = write_all(stream, contents);
    if (fclose(stream) != 0 || !written) return write_failed(path);
    return REGRAFT_OK;
}

static regraft_status write_temporary(FILE *stream, struct text contents, const struct stat *old) {
    bool written = write_all(stream, contents) && fsync(fileno(stream)) == 0;
    if (written && old) written = fchmod(fileno(stream), old->st_mode & 07777) == 0;
    return fclose(stream) == 0 && written ? REGRAFT_OK : REGRAFT_REJECTED;
}

/* Through a new file beside it, so that readers see the old contents or the new ones, never a part. `old` is what was
 * there, whose permissions stay; NULL: nothing. */
static regraft_status write_replacing(const char *path, struct text contents, const struct stat *old) {
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp.%ld", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return write_failed(path);
    }
    if (old && access(path, W_OK) != 0) return write_failed(path);
    FILE *stream = fopen(temporary, "wbxe");
    if (!stream) return write_failed(path);
    if (write_temporary(stream, contents, old) != REGRAFT_OK || rename(temporary, path) != 0) {
        int cause = errno;
        unlink(temporary);
        errno = cause;
        return write_failed(path);
    }
    return REGRAFT_OK;
}

regraft_status output_write(const char *path, struct text contents) {
    char target[PATH_MAX];
    struct stat old;
    if (!path || strcmp(path, "-") == 0)
        return write_all(stdout, contents) ? REGRAFT_OK : write_failed("standard output");
    if (!realpath(path, target))
        return write_replacing(path, contents, NULL); /* a link stays, and its target changes */
    if (stat(target, &old) != 0) return write_failed(path);
    /* Devices and pipes cannot be replaced; they are written as they are. */
    return S_ISREG(old.st_mode) ? write_replacing(target, contents, &old) : write_direct(path, contents);
}
