/* The state of one witan_specialize call, shared by its steps: specialize.c (order of the work, files), specialize_input.c
 * (arguments and demonstrations), specialize_measure.c (quality), specialize_check.c (the written file, speed),
 * specialize_report.c and specialize_charts.c (the page). */
#ifndef WT_API_SPECIALIZE_H
#define WT_API_SPECIALIZE_H

#include "base/docs.h"
#include "base/report.h"
#include "edit/plan.h"
#include "op/method.h"

enum { WT_N_RANDOM = 3, WT_MAX_SERIES = 4, WT_N_SPEED = 5 };

/* What quality is measured on. */
typedef enum wt_measured { WT_ON_EVAL, WT_ON_HELD_OUT, WT_ON_DEMOS } wt_measured;

/* One thing that is measured: the original, the result, a baseline. Several random arms make one series. */
typedef struct wt_arm { int32_t series; int64_t seed; wt_plan *plan /* worn; NULL: none */; const witan_model *model; witan_eval_result *eval; } wt_arm;

/* One domain in all series. A series of one arm has 95 % intervals; that of the random arms has the median and the range. */
typedef struct wt_quality {
    const char *domain;              /* owned by an arm's result */
    bool chosen;
    int64_t tokens, documents, questions;
    wt_bar ppl[WT_MAX_SERIES], acc[WT_MAX_SERIES];
} wt_quality;

typedef struct wt_specialize {
    wt_ctx *cx;
    const witan_specialize_options *o;
    witan_specialize_result *res;
    const wt_method *method;

    wt_docs demos;                   /* of the chosen domain or domains, labelled */
    char *chosen;                    /* "arithmetic", "arithmetic, dates", "your own domain" where nothing names one */
    bool unlabelled;
    size_t n_chosen;                 /* how many domains */
    bool no_domains;                 /* evaluation lines name no domain: all of them count as chosen */
    wt_measured on;
    size_t n_calib, n_held;          /* demonstrations used for choosing; held out */
    char *calib, *held;              /* files to profile and to measure on */
    bool own_calib, own_held;        /* written by us, to be removed */
    size_t n_seen;                   /* evaluation lines that are demonstrations too */
    bool ask;                        /* every evaluation line is a question with an answer */
    char eval_digest[65];

    witan_model *model, *small;      /* the original; what was written */
    wt_record *rec, *others;         /* of the demonstrations; of the evaluation set, NULL: none */
    wt_plan *plan;
    char *staged;                    /* the new file before it gets its name; NULL: none */

    const char *series[WT_MAX_SERIES]; size_t n_series;   /* 0 the original, 1 the result, then baselines */
    wt_arm arm[3 + WT_N_RANDOM]; size_t n_arm;
    wt_quality *quality; size_t n_quality;                /* chosen domains first; "all" last where there are several */
    double speed[2][WT_N_SPEED];     /* tokens/s of original and result, sorted */
    int64_t n_same;                  /* positions whose logits were compared */
} wt_specialize;

/* Every argument that can be judged without work; probes that the outputs can be written. */
wt_status wt_specialize_arguments(wt_specialize *s);
/* Reads demonstrations and evaluation lines, decides what is measured on what, and splits where nothing else is there. */
wt_status wt_specialize_documents(wt_specialize *s);
bool wt_specialize_is_chosen(const wt_specialize *s, const char *domain);

/* The written file holds what the plan says and computes what the worn plan computes. */
wt_status wt_specialize_verify(wt_specialize *s);
wt_status wt_specialize_speed(wt_specialize *s);

wt_status wt_specialize_measure(wt_specialize *s);

/* Lower end of the 95 % interval of the drop from one share to another (Newcombe's hybrid of Wilson intervals). */
double wt_drop_at_least(const wt_bar *before, const wt_bar *after);

wt_status wt_specialize_page(wt_specialize *s, char **html, size_t *n);
wt_status wt_specialize_heat(wt_specialize *s, wt_report *r);      /* the heat maps */
void wt_specialize_unused(wt_specialize *s, wt_report *r);         /* the section on experts never chosen */
void wt_specialize_quality(wt_specialize *s, wt_report *r);        /* sections on quality and on what was lost */

/* Progress of borrowed work under our own name. Between begin and end, what callees report is passed on as `part + its share`
 * of `parts` `unit`s of `phase`; a callee goes through `steps` phases of its own. Set part (and step = 0, last = NULL) before
 * each call. */
typedef struct wt_relay {
    wt_ctx *cx; witan_progress_fn fn; void *user;
    const char *phase, *unit, *last;
    int32_t part, parts, step, steps;
} wt_relay;
void wt_relay_begin(wt_relay *r, wt_ctx *cx, const char *phase, const char *unit, int32_t parts, int32_t steps);
void wt_relay_part(wt_relay *r, int32_t part);
void wt_relay_end(wt_relay *r);

#endif
