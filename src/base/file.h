/* Files: whole-file reading, reading in blocks, read-only mapping, and atomic writing (temporary name in the same folder, fsync, rename,
 * fsync of the folder). Everything goes through the hooks in the context. */
#ifndef WT_BASE_FILE_H
#define WT_BASE_FILE_H

#include "base/ctx.h"

witan_io wt_io_system(void);   /* the operating system's calls */

/* Reads a whole file or pipe of at most max bytes; *data is NUL-terminated behind its n bytes, free with wt_free.
 * path "-" is standard input. */
wt_status wt_file_read(wt_ctx *cx, const char *path, size_t max, char **data, size_t *n);

/* Reading a file or pipe ("-": standard input) from beginning to end, however long it is, in blocks that end where a line does. */
typedef struct wt_in wt_in;
wt_status wt_in_open(wt_ctx *cx, const char *path, wt_in **out);
/* The next block: about `want` bytes (more where a line is longer, fewer at the end), *n 0 at the end of the file. It lives until the next
 * call. prose: only ends of lines behind which a line begins with something visible count, as far as there are any; blocks of lines without
 * such an end are cut at 16 * want bytes, between characters. Else a line of more than 1 GiB is WT_ELIMIT. */
wt_status wt_in_block(wt_in *in, size_t want, bool prose, const char **text, size_t *n);
double wt_in_size(const wt_in *in);     /* bytes, 0: unknown */
void wt_in_free(wt_in *in);             /* NULL is fine */

typedef struct wt_map { const uint8_t *data; size_t n; int fd; bool heap; } wt_map;
/* Maps a regular file; where mapping is refused the file is read into memory instead. */
wt_status wt_map_open(wt_ctx *cx, const char *path, wt_map *m);
/* These bytes will not be read again soon: they need not stay in memory. A hint; reading them still works. */
void wt_map_forget(wt_ctx *cx, const wt_map *m, const void *p, size_t n);
void wt_map_close(wt_ctx *cx, wt_map *m);

typedef struct wt_out wt_out;
/* Begins NAME.tmp.<pid>.<random> beside path. Until wt_out_commit nothing is visible under path. */
wt_status wt_out_open(wt_ctx *cx, const char *path, wt_out **out);
wt_status wt_out_write(wt_out *o, const void *p, size_t n);        /* buffered */
wt_status wt_out_zero(wt_out *o, size_t n);
uint64_t wt_out_pos(const wt_out *o);
wt_status wt_out_seal(wt_out *o);       /* nothing more will come: flush, fsync, close; commit only renames then */
wt_status wt_out_commit(wt_out **o);    /* flush, fsync, rename, fsync folder; frees; on failure nothing is left */
void wt_out_abort(wt_out **o);          /* removes the temporary file; frees; NULL is fine */
wt_status wt_file_write(wt_ctx *cx, const char *path, const void *p, size_t n);   /* the three steps in one */
bool wt_file_same(const char *a, const char *b);   /* both exist and are one file */
wt_status wt_folder_make(wt_ctx *cx, const char *path);

/* Next line of text at *at (without its end); false at the end. */
bool wt_line_next(const char *text, size_t n, size_t *at, const char **line, size_t *len);

#endif
