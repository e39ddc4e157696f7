/* witan.h: the public interface of libwitan, for mixture-of-experts (MoE) language models.
 *
 * Open a GGUF model, feed tokens, read logits, sample; tokenize; measure; profile which experts a domain needs, plan
 * which to keep, try the plan, write the smaller file. The witan command is built on this header alone.
 *
 * Conventions
 * - Every call that can fail returns witan_status. The reason, one line that says what was expected, is
 *   witan_error(ctx). The library never prints, exits or aborts on bad input.
 * - x_open/x_new hand over an object; the matching x_free takes it back. NULL is fine for every x_free.
 * - A model is constant after opening and may be shared by sessions. A witan_ctx, and everything made from it, has one
 *   owner thread at a time; the library uses its own worker threads inside a call.
 * - Strings are UTF-8 with a length or NUL-terminated as stated. Shapes are written slowest dimension first.
 * - Same input, same seed, same bits: for any number of threads and any batch.
 */
#ifndef WITAN_H
#define WITAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WITAN_API __attribute__((visibility("default")))
#else
#define WITAN_API
#endif

#define WITAN_VERSION "0.1.0"

/* ---- status ------------------------------------------------------------------------------------------------------ */

typedef enum witan_status {
    WITAN_OK = 0,
    WITAN_EARG,          /* an argument or option is wrong */
    WITAN_ENOMEM,        /* an allocation failed */
    WITAN_EIO,           /* the operating system refused to open, read, write, sync or rename */
    WITAN_EFORMAT,       /* a file's content is not what its format allows */
    WITAN_ESHAPE,        /* tensors contradict the metadata */
    WITAN_ELIMIT,        /* too long, too many, or too few for what was asked */
    WITAN_EUNSUPPORTED,  /* valid, but witan cannot do it (unknown family, block type ...) */
    WITAN_EMISMATCH,     /* two inputs do not belong together (a plan made for another model) */
    WITAN_ECANCELED      /* witan_cancel was called */
} witan_status;

/* ---- context: memory, files, messages, threads -------------------------------------------------------------------- */

typedef struct witan_ctx witan_ctx;

/* All memory of the library comes from here. alloc and realloc return NULL on failure; free takes NULL. */
typedef struct witan_allocator {
    void *(*alloc)(void *user, size_t n);
    void *(*realloc)(void *user, void *p, size_t n);
    void (*free)(void *user, void *p);
    void *user;
} witan_allocator;

/* All file access of the library goes through here. Each member behaves like the system call of its name: -1 (map:
 * NULL) and errno on failure; short counts are legal and are continued by the caller. */
typedef struct witan_io {
    int (*open)(void *user, const char *path, int flags, int mode);
    int (*close)(void *user, int fd);
    ssize_t (*read)(void *user, int fd, void *p, size_t n);
    ssize_t (*write)(void *user, int fd, const void *p, size_t n);
    int64_t (*size)(void *user, int fd);                             /* of a regular file */
    int (*fsync)(void *user, int fd);
    int (*rename)(void *user, const char *from, const char *to);
    int (*unlink)(void *user, const char *path);
    const void *(*map)(void *user, int fd, size_t n);                /* read-only, whole file */
    int (*unmap)(void *user, const void *p, size_t n);
    void *user;
} witan_io;

/* Long work reports here, from the calling thread, as often as it likes; the receiver decides how often to show it.
 * total is 0 when unknown. Return false to cancel: the work stops with WITAN_ECANCELED. */
typedef struct witan_progress {
    const char *phase;   /* "profile", "write" ...; static text */
    double done, total;
    const char *unit;    /* "tokens", "bytes" ... */
} witan_progress;
typedef bool (*witan_progress_fn)(void *user, const witan_progress *p);

typedef enum witan_level { WITAN_DEBUG, WITAN_INFO, WITAN_WARN } witan_level;
typedef void (*witan_log_fn)(void *user, witan_level level, const char *line);

typedef struct witan_config {
    const witan_allocator *allocator;   /* NULL: malloc */
    const witan_io *io;                 /* NULL: the operating system */
    witan_progress_fn progress; void *progress_user;
    witan_log_fn log; void *log_user;
    int32_t threads;                    /* 0: $WITAN_THREADS, else the processors this process may run on */
    const char *tier;                   /* the best kernels to use: "ref", "neon", "avx2", "avx512f" (AVX-512 without VNNI), "avx512"; NULL: $WITAN_TIER, else
                                           the best there are */
    bool pin;                           /* each worker, and the calling thread from its first parallel work on, stays on a processor of its own, of those
                                           this process may use; cores before their second threads. Not done where there are more workers;
                                           undone for the calling thread by witan_ctx_free */
    bool exact;                         /* activations stay float; else, and unless $WITAN_EXACT is 1, they are rounded to bytes (one scale for
                                           32 values) where they meet weights in blocks: several times as fast, nearly the same results */
} witan_config;

/* config may be NULL. Returns NULL only when memory is exhausted. */
WITAN_API witan_ctx *witan_ctx_new(const witan_config *config);
WITAN_API void witan_ctx_free(witan_ctx *cx);
WITAN_API const char *witan_error(const witan_ctx *cx);       /* of the last failed call; "" at first */
WITAN_API const char *witan_status_name(witan_status s);
WITAN_API void witan_cancel(witan_ctx *cx);                   /* from any thread or a signal handler */
WITAN_API void witan_set_threads(witan_ctx *cx, int32_t n);   /* 0: as in witan_config */
WITAN_API int32_t witan_threads(const witan_ctx *cx);
WITAN_API const char *witan_version(void);

/* Gives back text or arrays that a call handed over (those documented "free with witan_free"). */
WITAN_API void witan_free(witan_ctx *cx, void *p);

/* ---- option tables ------------------------------------------------------------------------------------------------ */

/* One row describes one field of an options struct: the table that documents is the table that parses. A table ends
 * with a row whose name is NULL. */
typedef enum witan_param_type {
    WITAN_P_F32, WITAN_P_F64, WITAN_P_I32, WITAN_P_I64, WITAN_P_BOOL, WITAN_P_STR, WITAN_P_ENUM /* int32_t index */
} witan_param_type;

typedef struct witan_param {
    const char *name;            /* as in the struct; on a command line '_' is written '-' */
    witan_param_type type;
    size_t offset;
    double def, min, max;        /* numbers, bool (0/1) and enum index */
    const char *def_text;        /* WITAN_P_STR: default, may be NULL */
    const char *const *choice;   /* WITAN_P_ENUM: NULL-terminated names */
    const char *help;            /* one clause, no full stop */
    const char *metavar;         /* what the value is called in help; NULL: by type */
    const char *alias;           /* another long name, or a single letter for a short option; NULL: none */
} witan_param;

#define WITAN_P_TYPE(T, f) _Generic(((T *)0)->f, float: WITAN_P_F32, double: WITAN_P_F64, int32_t: WITAN_P_I32, \
                                    int64_t: WITAN_P_I64, bool: WITAN_P_BOOL, const char *: WITAN_P_STR)
#define WITAN_NUM(T, f, d, lo, hi, h)     { .name = #f, .type = WITAN_P_TYPE(T, f), .offset = offsetof(T, f), .def = (d), \
                                            .min = (lo), .max = (hi), .help = (h) }
#define WITAN_FLAG(T, f, h)               { .name = #f, .type = WITAN_P_BOOL, .offset = offsetof(T, f), .max = 1, .help = (h) }
#define WITAN_TEXT(T, f, d, meta, h)      { .name = #f, .type = WITAN_P_STR, .offset = offsetof(T, f), .def_text = (d), \
                                            .metavar = (meta), .help = (h) }
#define WITAN_CHOICE(T, f, d, names, h)   { .name = #f, .type = WITAN_P_ENUM, .offset = offsetof(T, f), .def = (d), \
                                            .choice = (names), .help = (h) }

WITAN_API void witan_opt_defaults(const witan_param *table, void *opts);
/* Sets the field called name (either spelling, or its alias) from text. WITAN_P_STR keeps the pointer: text must
 * outlive opts. Errors: WITAN_EARG with the legal range, the choices, or the nearest name. */
WITAN_API witan_status witan_opt_set(witan_ctx *cx, const witan_param *table, void *opts, const char *name, const char *text);
WITAN_API const witan_param *witan_opt_find(const witan_param *table, const char *name);
/* Writes the value of one field as text that witan_opt_set reads back to the same value. Returns its length. */
WITAN_API int witan_opt_text(const witan_param *p, const void *opts, char *buf, size_t cap);
/* The nearest of n words to a mistyped one, or NULL when none is near. */
WITAN_API const char *witan_did_you_mean(const char *typed, const char *const *word, size_t n);

/* ---- methods ------------------------------------------------------------------------------------------------------ */

typedef struct witan_method {
    const char *name, *kind;       /* "easy-ep", "importance" */
    const char *title, *about;
    const char *paper, *authors, *id, *where;   /* source: title, authors, arXiv id, which part */
    int32_t year;
    const witan_param *param;      /* its options, or NULL */
} witan_method;

WITAN_API size_t witan_method_count(void);
WITAN_API bool witan_method_get(size_t i, witan_method *out);      /* sorted by kind, then name */

/* ---- models ------------------------------------------------------------------------------------------------------- */

typedef struct witan_model witan_model;

typedef struct witan_model_options {
    bool resident;     /* copy expert weights into memory; false: use the mapped file */
    bool repack;       /* copy weights in blocks into memory, rows interleaved for the kernels (as `witan convert --repack` does on disk); same bits */
    bool huge_pages;   /* ask for huge pages where weights are copied; repack always does */
    bool prefault;     /* read a mapped file to its end before returning, so that nothing is read from disk later while there is room for it */
    const char *pre;   /* splitting rule of the tokenizer to use where the file names one that is unknown, or none; NULL: refuse */
} witan_model_options;

typedef struct witan_model_info {
    const char *path, *arch, *name;      /* owned by the model */
    int32_t n_layer, d_model, n_head, n_head_kv, d_head, n_vocab, n_ctx_train;
    int32_t n_exp, n_exp_used, d_ff_exp;  /* n_exp: the largest of all layers; 0: dense */
    int64_t n_param, n_param_active;      /* weights; weights one token uses */
    int64_t n_byte, n_byte_expert, n_byte_token;   /* tensor data; routed experts' part; read per decoded token */
    int32_t bos, eos;                     /* token ids, -1: none */
    bool add_bos;
    char fingerprint[65];                 /* SHA-256 (hex) over the header and samples of every tensor */
} witan_model_info;

/* Opens a GGUF file (v2, v3). opts may be NULL. Errors: WITAN_EIO, WITAN_EFORMAT, WITAN_ESHAPE, WITAN_EUNSUPPORTED. */
WITAN_API witan_status witan_model_open(witan_ctx *cx, const char *path, const witan_model_options *opts, witan_model **out);
WITAN_API void witan_model_free(witan_model *m);
WITAN_API const witan_model_info *witan_model_get_info(const witan_model *m);
WITAN_API int32_t witan_model_experts(const witan_model *m, int32_t layer);   /* of one layer; 0: dense or no such layer */

/* Describes any GGUF file, also one whose family is unknown, as a JSON object (NUL-terminated; free with witan_free).
 * Members: file, version, alignment, arch, name, n_byte, n_tensor, types [{type,count,bytes,params}], kv {key: value,
 * long arrays as {"array":type,"count":n}}, model {the fields of witan_model_info, or null with "reason"}, layers
 * [{layer,experts,width,types,bytes}], provenance (witan.* keys or null), tensors [{name,type,shape,bytes,offset}]. */
WITAN_API witan_status witan_inspect(witan_ctx *cx, const char *path, char **json);

/* ---- text --------------------------------------------------------------------------------------------------------- */

enum { WITAN_TOK_BOS = 1,         /* put the begin token first if the model wants one */
       WITAN_TOK_BEGIN = 4,       /* put it first if there is one at all: how perplexity is defined here */
       WITAN_TOK_SPECIAL = 2,     /* read special tokens such as <|endoftext|> in the text as their ids */
       WITAN_TOK_EOS = 8 };       /* put the end token, or the separator, last if the model wants one */

/* Text to ids. *ids is handed over (free with witan_free), *n may be 0. Any bytes are legal input. User-defined tokens
 * are read in the text with or without WITAN_TOK_SPECIAL. SentencePiece models ("llama") put a space before the text and
 * behind tokens that were read in it, unless the file says otherwise. */
WITAN_API witan_status witan_tokenize(witan_ctx *cx, const witan_model *m, const char *text, size_t len, int flags,
                                      int32_t **ids, size_t *n);
/* Ids of a whole text to bytes, NUL-terminated at (*text)[*len]; free with witan_free. skip_special drops control and
 * unknown tokens. Gives back what witan_tokenize was given (without flags): spaces that it put in are left out. Exceptions:
 * SentencePiece reads U+2581 as a space; characters and bytes that a vocabulary has no tokens for come back as its
 * unknown token or U+FFFD; Phi-3 drops white space behind special tokens.
 * Errors: WITAN_EARG for an id outside [0, n_vocab). */
WITAN_API witan_status witan_detokenize(witan_ctx *cx, const witan_model *m, const int32_t *ids, size_t n, bool skip_special,
                                        char **text, size_t *len);
/* The same for one token of a text that goes on: a space at its beginning stays. */
WITAN_API witan_status witan_token_text(witan_ctx *cx, const witan_model *m, int32_t id, bool skip_special, char **text, size_t *len);
/* Where the first byte stands that is not valid UTF-8; n if there is none. */
WITAN_API size_t witan_utf8_check(const char *text, size_t n);
/* A tokenizer alone: opens any GGUF that holds a vocabulary, even without tensors. opts (only pre counts) may be NULL.
 * Only witan_tokenize, witan_detokenize, witan_token_text, witan_model_get_info (n_vocab, bos, eos) and witan_model_free
 * accept it. Errors: as witan_model_open; WITAN_EARG if opts->pre is no known rule. */
WITAN_API witan_status witan_vocab_open(witan_ctx *cx, const char *path, const witan_model_options *opts, witan_model **out);

/* ---- plans: which experts to keep ---------------------------------------------------------------------------------- */

typedef struct witan_plan witan_plan;

/* What happens to the gates of the experts that stay when others go. RENORM deletes router rows, so that a softmax
 * over all experts is renormalised over those that stay: the only form that a file can express. KEEP masks after the
 * activation and leaves gates as they were. The same thing for routers that renormalise over the chosen. */
typedef enum witan_gate { WITAN_GATE_RENORM, WITAN_GATE_KEEP } witan_gate;

WITAN_API witan_status witan_plan_load(witan_ctx *cx, const char *path, witan_plan **out);
WITAN_API witan_status witan_plan_parse(witan_ctx *cx, const char *json, size_t len, witan_plan **out);
WITAN_API witan_status witan_plan_save(witan_ctx *cx, const witan_plan *p, const char *path);
WITAN_API witan_status witan_plan_json(witan_ctx *cx, const witan_plan *p, char **json);   /* free with witan_free */
WITAN_API bool witan_plan_keeps(const witan_plan *p, int32_t layer, int32_t expert);
WITAN_API int32_t witan_plan_count(const witan_plan *p, int32_t layer);   /* experts kept; -1: no such layer */
/* WITAN_OK if the plan was made for this model; WITAN_EMISMATCH says how they differ. */
WITAN_API witan_status witan_plan_check(witan_ctx *cx, const witan_plan *p, const witan_model *m);
WITAN_API void witan_plan_free(witan_plan *p);

/* ---- sessions ----------------------------------------------------------------------------------------------------- */

typedef struct witan_session witan_session;

/* What keys and values are kept as. F16 halves the memory of F32 and changes results less than rounding weights to Q8_0 does; Q8_0 nearly halves
 * it again. AUTO: F16; F32 where the context is exact. */
typedef enum witan_kv { WITAN_KV_AUTO, WITAN_KV_F32, WITAN_KV_F16, WITAN_KV_Q8_0 } witan_kv;

typedef struct witan_session_options {
    int32_t n_ctx;            /* most tokens of one sequence; 0: what the model was trained for */
    int32_t n_seq;            /* sequences side by side; 0: 1 */
    const witan_plan *plan;   /* worn as a mask; NULL: all experts. Must outlive the session. */
    int32_t kv_type;          /* witan_kv */
} witan_session_options;

WITAN_API witan_status witan_session_new(witan_ctx *cx, const witan_model *m, const witan_session_options *opts, witan_session **out);
WITAN_API void witan_session_free(witan_session *s);

/* Appends n tokens to sequence seq and computes. Logits of the last token are kept: witan_logits(s, 0).
 * Errors: WITAN_ELIMIT when the sequence would exceed n_ctx (nothing is appended), WITAN_EARG for a bad id or seq. */
WITAN_API witan_status witan_feed(witan_session *s, int32_t seq, const int32_t *ids, size_t n);

/* One token of a batch. Tokens of one sequence stand in order; sequences may be mixed freely. */
typedef struct witan_token { int32_t id, seq; bool logits; } witan_token;
/* Appends a batch over several sequences. Logits of the tokens that asked for them are kept in batch order. */
WITAN_API witan_status witan_feed_batch(witan_session *s, const witan_token *tok, size_t n);
/* Row i of the kept logits, [n_vocab] floats, owned by the session until the next feed; NULL: no such row. */
WITAN_API const float *witan_logits(const witan_session *s, size_t i);
WITAN_API int32_t witan_seq_len(const witan_session *s, int32_t seq);
WITAN_API void witan_seq_clear(witan_session *s, int32_t seq);

/* ---- sampling ----------------------------------------------------------------------------------------------------- */

typedef struct witan_sample_options {
    float temp;               /* 0: greedy */
    int32_t top_k;            /* 0: off */
    float top_p, min_p;       /* 1 and 0: off */
    float repeat_penalty;     /* 1: off */
    int32_t repeat_last_n;    /* how far back the penalty looks; -1: everything */
    int64_t seed;
} witan_sample_options;
WITAN_API extern const witan_param witan_sample_param[];

typedef struct witan_sampler witan_sampler;
/* n_vocab as in witan_model_info. opts NULL: greedy. */
WITAN_API witan_status witan_sampler_new(witan_ctx *cx, int32_t n_vocab, const witan_sample_options *opts, witan_sampler **out);
WITAN_API void witan_sampler_free(witan_sampler *sm);
WITAN_API void witan_sampler_accept(witan_sampler *sm, int32_t id);      /* counts for the repeat penalty; prompt too */
/* Picks a token from logits [n_vocab] (not changed). Order: repeat penalty, temperature, top-k, top-p, min-p, draw.
 * Ties go to the lower id. Returns -1 if no logit is a number. */
WITAN_API int32_t witan_sample(witan_sampler *sm, const float *logits);

/* ---- measuring ---------------------------------------------------------------------------------------------------- */

typedef struct witan_eval_options {
    const char *text;         /* a plain text file: one document; or NULL */
    const char *jsonl;        /* documents: lines with "text" or "prompt"+"answer", and perhaps "domain"; or NULL */
    const char *task;         /* questions: lines with "prompt" and "answer", and perhaps "domain"; or NULL */
    const char *domain;       /* only this domain; NULL: all */
    int32_t n_ctx;            /* a document is cut here, begin token included; 0: what the model was trained for */
    int32_t limit;            /* documents or questions per domain; 0: all */
    int32_t max_new;          /* tokens per answer; 0: 64 */
    const witan_plan *plan;   /* worn as a mask */
    int32_t kv_type;          /* witan_kv */
} witan_eval_options;

/* One line of the result. Values that were not asked for are NaN, counts 0. Intervals are 95 %: perplexity from the
 * spread of documents (delta method on the ratio of sums), accuracy by Wilson's formula. */
typedef struct witan_eval_row {
    const char *domain;              /* "all" for the total */
    double perplexity, ppl_lo, ppl_hi, nll;   /* nll: mean, nats per token */
    int64_t tokens, documents;
    double accuracy, acc_lo, acc_hi;
    int64_t questions, correct;
} witan_eval_row;

typedef struct witan_eval_result {
    witan_eval_row *row; size_t n_row;   /* domains in order of appearance, then "all" */
    double seconds; int64_t tokens_computed;
} witan_eval_result;

WITAN_API witan_status witan_eval(witan_ctx *cx, const witan_model *m, const witan_eval_options *opts, witan_eval_result **out);
WITAN_API void witan_eval_free(witan_ctx *cx, witan_eval_result *r);

/* ---- speed -------------------------------------------------------------------------------------------------------- */

/* What this machine can do at most with the context's threads and kernels, measured in about a second. */
typedef struct witan_machine {
    int32_t threads;
    const char *tier;         /* kernels */
    double read_bytes;        /* bytes per second read from memory */
    double f32_ops, i8_ops;   /* operations per second on floats and on bytes; a product and a sum count two */
    double bf16_ops;          /* on BF16 with sums of floats; 0: no instructions for it */
} witan_machine;
WITAN_API witan_status witan_machine_measure(witan_ctx *cx, witan_machine *out);

typedef struct witan_bench_options {
    int32_t prompt, generate; /* tokens of each sequence: fed at once, or one after the other; the one that is not 0 */
    int32_t batch;            /* sequences side by side */
    int32_t depth;            /* tokens that stand before them already */
    int32_t repeat;           /* measured so many times, after one round that is not */
    int32_t kv_type;          /* witan_kv */
} witan_bench_options;

typedef struct witan_bench_result {
    char test[32];            /* "pp512", "tg64" */
    int32_t batch, threads;
    double median, min, max;  /* tokens per second, all sequences together */
    double limit;             /* tokens per second that the machine allows: bytes that must be read over its bandwidth, or operations over its peak */
    double share;             /* median / limit */
    bool memory;              /* limit is memory's; else arithmetic's */
} witan_bench_result;

/* Speed of prefill (prompt) or decode (generate) with random tokens. Bytes that must be read: all weights but experts once a step, experts as
 * many as the batch is expected to choose, keys and values. Operations: two for each weight a token uses, and attention's; on bytes where
 * weights are quantized, else on floats. Errors: WITAN_EARG, WITAN_ELIMIT. */
WITAN_API witan_status witan_bench(witan_ctx *cx, const witan_model *m, const witan_machine *machine, const witan_bench_options *opts, witan_bench_result *out);

/* ---- profiling, planning, writing ---------------------------------------------------------------------------------- */

typedef struct witan_record witan_record;

typedef struct witan_profile_options {
    const char *data;         /* JSON lines with "text" or "prompt"+"answer", and perhaps "domain" */
    const char *domain;       /* only this domain; NULL: all */
    int32_t n_ctx;            /* documents are cut here; 0: what the model was trained for */
    int32_t limit;            /* documents per domain; 0: all */
    int64_t sample_seed;      /* with limit: which documents; 0: the first ones */
    int64_t shuffle_seed;     /* not 0: domains are exchanged among documents at random, to see what would come of no relation at all */
    const witan_plan *plan;   /* worn while profiling */
} witan_profile_options;

/* One streaming pass fills the calibration record: per (domain, layer, expert) the sums C1 to C4 described in
 * docs/record.md. Documents without a domain belong to "demos". */
WITAN_API witan_status witan_profile(witan_ctx *cx, const witan_model *m, const witan_profile_options *opts, witan_record **out);
WITAN_API witan_status witan_record_merge(witan_ctx *cx, witan_record *into, const witan_record *from);   /* adds */
WITAN_API witan_status witan_record_save(witan_ctx *cx, const witan_record *r, const char *path);         /* JSON */
WITAN_API witan_status witan_record_load(witan_ctx *cx, const char *path, witan_record **out);
WITAN_API void witan_record_free(witan_record *r);
WITAN_API size_t witan_record_domains(const witan_record *r);
WITAN_API const char *witan_record_domain(const witan_record *r, size_t i);
WITAN_API int64_t witan_record_tokens(const witan_record *r, size_t domain);
/* One sum of one expert: what is "n", "sum_g", "sum_m", "sum_gm" or "easy_ep" ... (docs/record.md); NaN: unknown. */
WITAN_API double witan_record_get(const witan_record *r, size_t domain, int32_t layer, int32_t expert, const char *what);

/* Mutual information of domain and chosen expert in one layer, in nats: sum over both of p(d, e) log(p(d, e) / (p(d) p(e))), p by counts of choices.
 * 0: every domain uses all experts alike; at most the logarithm of the number of domains. NaN: no such layer, or one without experts. */
WITAN_API double witan_record_information(const witan_record *r, int32_t layer);
/* Fewest experts of a layer, on average over the layers that have experts, which get this share of a domain's choices. NaN: no such domain,
 * no experts, or out of memory. */
WITAN_API double witan_record_spread(const witan_record *r, size_t domain, double share);

typedef struct witan_plan_options {
    const char *score;        /* a method of kind "importance" */
    const char *score_opts;   /* its options, "name=value,name=value", or NULL */
    double keep;              /* share of the experts of each layer, (0, 1] */
    witan_gate gate;
    int64_t seed;
} witan_plan_options;
/* Errors: WITAN_ELIMIT if fewer experts than the router chooses would remain; says the smallest legal share. */
WITAN_API witan_status witan_plan_make(witan_ctx *cx, const witan_model *m, const witan_record *r, const witan_plan_options *opts,
                                       witan_plan **out);
/* Writes the model that the plan describes: tensor by tensor, kept experts' blocks copied untouched, everything else
 * unchanged, provenance under witan.*; command may be NULL. Never overwrites the model itself; nothing stands
 * under the final name until it is complete. Errors: WITAN_EMISMATCH, WITAN_EUNSUPPORTED for a KEEP plan that a file
 * cannot express, WITAN_EIO. */
WITAN_API witan_status witan_plan_apply(witan_ctx *cx, const witan_model *m, const witan_plan *p, const char *command, const char *path);

/* ---- converting ---------------------------------------------------------------------------------------------------- */

/* Block types by name, "Q4_K", in any case; "same": as they are. Only matrices are converted: norms, biases and routers never. */
typedef struct witan_convert_options {
    const char *type;         /* of all matrices; NULL: as they are */
    const char *experts, *shared, *attention, *embed, *head;   /* of these parts instead; NULL: type. Below six bits the head (or
                                 the embedding, where it is the head too) gets Q6_K unless it is asked for. */
    bool repack;              /* interleave eight rows, of every type in blocks: the same results, faster; only witan
                                 reads such a file */
    int64_t split;            /* most bytes of tensors in one file; 0: one file */
    const char *command;      /* how it was called, for the file's history; NULL: unknown */
} witan_convert_options;

typedef struct witan_convert_result {
    int64_t bytes_before, bytes_after;   /* of tensors */
    size_t n_changed, n_other;           /* tensors converted; of them, to another type because rows are not whole blocks of the wanted one */
    bool requantized;                    /* some were quantized before: errors add up */
    size_t n_file; char *first;          /* files written; the name of the first, free with witan_free */
} witan_convert_result;

/* Reads any GGUF file (or the first of several) and writes the same model in other block types, whole rows at a time: memory does not grow
 * with the file. Rows that are not whole blocks of the wanted type get one of about the same size. result may be NULL. Nothing stands
 * under a final name until all is complete; of several files the first gets its name last. Same input, same bytes, for any number of
 * threads. Errors: WITAN_EARG (type, in and out the same), WITAN_EIO, WITAN_EFORMAT, WITAN_EUNSUPPORTED. */
WITAN_API witan_status witan_convert(witan_ctx *cx, const char *in, const char *out, const witan_convert_options *opts, witan_convert_result *result);

/* Writes a GGUF model as a Hugging Face folder: config.json, model.safetensors (several files of opts->split bytes, 5 GB where that is 0, with an index),
 * tokenizer.json where the vocabulary can be expressed so. Of opts count type (F32, F16, BF16; NULL: the widest that the matrices have) and split. Families: OLMoE,
 * Qwen3-MoE, Qwen2-MoE, Mixtral, Llama, Qwen2, Qwen3. Errors: WITAN_EUNSUPPORTED for what has no place there (layers with other numbers of experts, selection
 * biases, scaled rope), WITAN_EARG, WITAN_EIO. */
WITAN_API witan_status witan_convert_hf(witan_ctx *cx, const char *in, const char *dir, const witan_convert_options *opts);

/* ---- random models -------------------------------------------------------------------------------------------------- */

typedef struct witan_random_options {
    const char *type;         /* block type of all matrices, as in witan_convert_options; NULL: F32 */
    const char *experts;      /* of the routed experts instead; NULL: type */
    int32_t layers;           /* fewer or more than the checkpoint has; 0: as many */
    int64_t seed;
    int64_t split;            /* most bytes of tensors in one file; 0: one file */
    const char *command;      /* for the file's history; NULL: unknown */
} witan_random_options;

/* Writes a model of random weights with the true dimensions of a known checkpoint ("olmoe-1b-7b"), to measure speed and memory without
 * downloading it, or a tiny one ("tiny-olmoe") for tests. Its vocabulary has the true size but knows bytes only. Memory does not grow with
 * the model. Same name, options and seed, same bytes, for any number of threads. Errors: WITAN_EARG (with the nearest name), WITAN_EIO. */
WITAN_API witan_status witan_random_model(witan_ctx *cx, const char *name, const witan_random_options *opts, const char *path);
WITAN_API const char *witan_random_name(size_t i);   /* NULL behind the last */

/* ---- the main job -------------------------------------------------------------------------------------------------- */

typedef struct witan_specialize_options {
    const char *model, *demos, *out;
    const char *report;       /* HTML page; NULL: none */
    const char *save_plan;    /* plan JSON; NULL: none */
    const char *save_record;  /* record JSON; NULL: none */
    const char *score;        /* importance method */
    double keep;              /* share of experts to keep */
    int32_t gate;             /* witan_gate */
    int64_t seed;
    int32_t n_ctx;            /* demonstrations are cut here; 0: what the model was trained for */
    const char *eval;         /* JSON lines with "domain", "prompt", "answer" (or "text"): measured before and after; NULL: none */
    int32_t eval_limit;       /* lines per domain */
    const char *domain;       /* of the demonstrations; NULL: as they say themselves, else "demos" */
    const char *command;      /* how it was called, for the report and the file; NULL: unknown */
    const char *pre;          /* as in witan_model_options */
} witan_specialize_options;

typedef struct witan_specialize_result {
    int64_t bytes_before, bytes_after, expert_bytes_before, expert_bytes_after;
    int32_t n_exp_before, n_exp_after;
    double ppl_before, ppl_after, acc_before, acc_after;   /* on the chosen domain; NaN: not measured */
    double toks_before, toks_after;                        /* decode, tokens/s; NaN: not measured */
} witan_specialize_result;

/* Profile, score, plan, measure beside random and frequency baselines, write, load what was written, report. */
WITAN_API witan_status witan_specialize(witan_ctx *cx, const witan_specialize_options *opts, witan_specialize_result *out);

/* ---- synthetic data ------------------------------------------------------------------------------------------------ */

typedef struct witan_synth_options {
    const char *dir;          /* made if missing */
    int64_t seed;
    int32_t train, valid, test, demos;   /* items per domain */
    int32_t difficulty;       /* 1 easy, 2 usual, 3 hard; 0: usual */
    const char *difficulty_of;   /* of some domains instead, "graph=1,json=3"; NULL: none */
    const char *domains;      /* only these, "units,graph"; NULL: all */
    int64_t book;             /* which phone book: its numbers are to be learnt by heart, and other books hold others; 0: the first */
} witan_synth_options;
WITAN_API extern const witan_param witan_synth_param[];   /* all but dir */
/* Writes DOMAIN.{train,valid,test,demos}.jsonl and all.{train,valid,test,demos}.jsonl: lines with domain, prompt, answer, text (= prompt +
 * answer). Same options, same bytes; of a domain they do not depend on which others are written. No question of one split occurs in another,
 * and outside training none occurs twice: a domain that runs out of different questions gives fewer items, which is logged. Errors: WITAN_EARG
 * (an unknown domain, with the nearest name), WITAN_EIO. */
WITAN_API witan_status witan_synth(witan_ctx *cx, const witan_synth_options *opts);
WITAN_API size_t witan_synth_domain_count(void);
WITAN_API const char *witan_synth_domain(size_t i, const char **about);

/* ---- data sets ------------------------------------------------------------------------------------------------------ */

/* Files of documents: JSON lines (.jsonl, .ndjson, and "-": standard input) with "text", or "prompt" and "answer", and perhaps "domain"; any other
 * file is plain text, one document. Where a domain is not stated it is the file's name up to its first dot. */

typedef struct witan_data_stats_row {
    const char *domain;                           /* "all" for the total */
    int64_t documents, bytes, tokens;             /* bytes of text; tokens: 0 without a vocabulary */
    int64_t duplicates;                           /* documents whose text has occurred before, in whatever domain */
    int64_t bad_utf8;                             /* lines that are no UTF-8: counted here and nowhere else */
    double mean;                                  /* lengths of documents, in tokens, without a vocabulary in bytes */
    int64_t min, p10, p50, p90, p99, max;         /* p90: what nine of ten documents do not exceed */
} witan_data_stats_row;

typedef struct witan_data_stats_result {
    witan_data_stats_row *row; size_t n_row;      /* domains in order of appearance, then "all" */
    bool has_tokens;
} witan_data_stats_result;

/* vocabulary: a model, or a tokenizer alone; NULL: bytes only. The same result for any number of threads.
 * Errors: WITAN_EFORMAT naming file and line, WITAN_EIO. */
WITAN_API witan_status witan_data_stats(witan_ctx *cx, const char *const *path, size_t n_path, const witan_model *vocabulary, witan_data_stats_result **out);
WITAN_API void witan_data_stats_free(witan_ctx *cx, witan_data_stats_result *r);

typedef struct witan_tokenizer_options {
    int32_t vocab;            /* tokens: special ones, 256 bytes, the rest learnt */
    const char *pre;          /* splitting rule; NULL: gpt-2 */
    bool digits;              /* ASCII digits are never merged */
    int64_t min_count;        /* pairs that occur less often are not merged */
    const char *special;      /* control tokens, separated by commas, from id 0 on: the first begins and ends documents, <|pad|> pads */
    int64_t most_words;       /* different words in memory; above, the rarest are forgotten */
    const char *command;      /* how it was called, for the file's history; NULL: unknown */
} witan_tokenizer_options;
WITAN_API extern const witan_param witan_tokenizer_param[];   /* all but command */

typedef struct witan_tokenizer_result {
    int32_t n_token, n_merge;
    int64_t documents, bytes, words, different;   /* of the corpus: words are the pieces that text is split into */
    int64_t forgotten;                            /* words that were counted and forgotten */
    int64_t tokens;                               /* that the corpus has with this vocabulary (forgotten words left out) */
} witan_tokenizer_result;

/* Learns byte-level BPE from files of documents and writes a GGUF file that holds a vocabulary alone: witan_vocab_open, `witan tokenize` and other
 * engines read it. Merges the most frequent pair; of equals the one with the lower ids. Files are read in blocks: memory grows with the number of
 * different words only. Same text and options, same bytes, for any number of threads. Text that looks like a special token is text. result may be
 * NULL. Errors: WITAN_EARG, WITAN_EFORMAT naming file and line, WITAN_EIO. */
WITAN_API witan_status witan_tokenizer_train(witan_ctx *cx, const char *const *path, size_t n_path, const char *out,
                                             const witan_tokenizer_options *opts, witan_tokenizer_result *result);
/* ---- training ------------------------------------------------------------------------------------------------------ */

/* The table witan_train_param documents and parses every field: as options of a command, and as members of a JSON object. */
typedef struct witan_train_options {
    const char *out;          /* folder of the run; made if missing */
    bool resume;              /* go on from the newest checkpoint in it */
    /* the model: a checkpoint to go on from, or the shape of a fresh one */
    const char *init;         /* GGUF; NULL: fresh weights */
    const char *arch, *tokenizer, *name, *pre;
    int32_t n_layer, d_model, n_head, n_head_kv, d_head, n_exp, n_used, d_ff, d_ff_exp, d_ff_shared, n_ctx;
    bool tied, init_depth;
    double rope_base, norm_eps, init_std;
    /* data */
    const char *data, *valid, *mix;
    int64_t seed;
    int32_t batch, accumulate, pack, too_long;
    double prompt_weight;
    /* learning */
    int64_t steps, warmup, decay_steps;
    const char *optim;
    double lr, floor, clip, ema;
    int32_t schedule;
    bool ema_final;
    const char *router, *filter, *balance, *frozen;
    bool recompute, half, half_products;
    /* watching and keeping */
    int64_t log_every, valid_every, checkpoint_every;
    int32_t valid_rows;
    const char *type;         /* block type of model.gguf */
    const char *command;      /* how it was called, for the file's history; NULL: unknown. Not in the table */
} witan_train_options;
WITAN_API extern const witan_param witan_train_param[];

/* Reads a JSON object whose members are rows of the table; lists of texts are joined by commas, a member called "about" is left alone. Other fields
 * stay as they are. Texts of opts belong to *keep, free it with witan_train_config_free after opts. Errors: WITAN_EARG with the nearest name, WITAN_EFORMAT. */
typedef struct witan_train_config witan_train_config;
WITAN_API witan_status witan_train_config_load(witan_ctx *cx, const char *path, witan_train_options *opts, witan_train_config **keep);
WITAN_API void witan_train_config_free(witan_train_config *keep);

typedef struct witan_train_result {
    int64_t steps, tokens;        /* done in all; tokens of all steps */
    int64_t from_step;            /* where this call began: 0, or the step of the checkpoint */
    double seconds, tokens_per_second;   /* of this call */
    double loss, valid_loss, best_loss;  /* of the last step; of the last and the best validation (NaN: none) */
    int64_t best_step;
    int64_t n_param, n_param_active;
    char model[512];              /* name of the model that was written */
} witan_train_result;

/* Trains, and writes into the folder: config.json, log.jsonl, run.db, loss.svg, load.svg, checkpoints, model.gguf (docs/training.md). Same options,
 * same data, same bits, for any number of threads, however often it was interrupted and resumed. Canceled: a checkpoint is written first. Errors:
 * WITAN_EARG, WITAN_EMISMATCH (resumed with other options: says which), WITAN_EFORMAT, WITAN_ELIMIT (values that are no numbers: says where), WITAN_EIO. */
WITAN_API witan_status witan_train(witan_ctx *cx, const witan_train_options *opts, witan_train_result *out);

typedef struct witan_train_bench_result {
    int32_t threads, rows, n_ctx; /* rows of a step, and tokens of a row */
    int64_t n_param, n_param_active;
    double median, min, max;      /* tokens per second of whole steps */
    double forward, backward, optimizer;   /* seconds of the median step: passes without and with gradients, and what comes after them */
    double ops_per_token;         /* of the products that a token needs: 6 for each weight of a matrix it uses, the head's too, and 12 n_head d_head for each
                                     token that it sees in a layer, (n_ctx + 1) / 2 on average */
    double limit;                 /* tokens per second that the machine's arithmetic on floats allows */
    double share;                 /* median / limit */
    int64_t bytes;                /* of weights, gradients, and what the learning rule keeps */
} witan_train_bench_result;
/* Speed of training with random tokens, in windows: forward, backward, norm and step. Of opts count init, or the shape and n_vocab; batch, n_ctx, accumulate,
 * optim, router, filter, balance, recompute, half, half_products. A model with fresh weights stands in $TMPDIR, or /tmp, for a moment. */
WITAN_API witan_status witan_train_bench(witan_ctx *cx, const witan_machine *machine, const witan_train_options *opts, int32_t n_vocab, int32_t repeat,
                                         witan_train_bench_result *out);

#ifdef __cplusplus
}
#endif
#endif
