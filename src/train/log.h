/* The log of a run, log.jsonl: one object a line, appended whole. Everything else that shows a run (run.db, plots) is made from it, so a resumed run
 * only has to cut it where its checkpoint was made. */
#ifndef WT_TRAIN_LOG_H
#define WT_TRAIN_LOG_H

#include "base/json.h"

typedef struct wt_run_log { wt_ctx *cx; char *path; int fd; } wt_run_log;

/* Opens DIR/log.jsonl for appending, without the lines behind `step` and without a last line that is not whole. Errors: WT_EIO, WT_EFORMAT. */
wt_status wt_log_open(wt_ctx *cx, const char *dir, int64_t step, wt_run_log *out);
wt_status wt_log_line(wt_run_log *l, const char *line, size_t n);   /* n bytes with the line end */
wt_status wt_log_sync(wt_run_log *l);
void wt_log_close(wt_run_log *l);

/* All lines; *lines is an array of objects to give back with json_decref. */
wt_status wt_log_read(wt_ctx *cx, const char *dir, json_t **lines);

/* DIR/run.db, DIR/loss.svg and DIR/load.svg from the log and the configuration (docs/training.md). */
wt_status wt_run_database(wt_ctx *cx, const char *dir, const json_t *lines, const char *config);
wt_status wt_run_charts(wt_ctx *cx, const char *dir, const json_t *lines, int32_t n_layer);

#endif
