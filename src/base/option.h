/* Internal names of the public option tables (witan.h), and reading "name=value,name=value". */
#ifndef WT_BASE_OPTION_H
#define WT_BASE_OPTION_H

#include "base/ctx.h"

typedef witan_param wt_param;
#define WT_NUM WITAN_NUM
#define WT_FLAG WITAN_FLAG
#define WT_TEXT WITAN_TEXT
#define WT_CHOICE WITAN_CHOICE

/* Sets several options from "name=value,name=value" (NULL and "" set none). String options are not allowed here. */
wt_status wt_opt_parse(wt_ctx *cx, const wt_param *table, void *opts, const char *text);

#endif
