/* Frequencies of rotary position embedding: base^(-2i/n), changed for longer contexts as the file says.
 *   factors  a tensor rope_freqs.weight divides each frequency (Llama 3.1's rule arrives this way)
 *   linear   all frequencies divided by a factor (position interpolation, arXiv 2306.15595)
 *   yarn     slow frequencies divided, fast ones kept, a ramp between; cosines and sines grow by 0.1 ln(factor) + 1
 *            (YaRN, arXiv 2309.00071, equations 19 to 23) */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct scaling { const wt_gguf *g; const char *arch; double factor, ctx, fast, slow, attn; } scaling;

static wt_status key(wt_ctx *cx, const scaling *s, const char *suffix, double lo, double hi, double *v)
{
    char name[160];
    snprintf(name, sizeof name, "%s.rope.%s", s->arch, suffix);
    return wt_gguf_num(cx, s->g, name, false, lo, hi, v);
}

/* Where a frequency turns `rotations` times in the original context, as an index into the pairs. */
static double turning_point(const wt_config *c, const scaling *s, double rotations)
{
    return c->n_rot * log(s->ctx / (rotations * 2 * M_PI)) / (2 * log(c->rope_base));
}

static wt_status yarn(wt_ctx *cx, wt_config *c, scaling *s)
{
    s->ctx = c->n_ctx_train / s->factor;
    WT_TRY(key(cx, s, "scaling.original_context_length", 1, 1 << 24, &s->ctx));
    WT_TRY(key(cx, s, "scaling.yarn_beta_fast", 0.01, 1e6, &s->fast));
    WT_TRY(key(cx, s, "scaling.yarn_beta_slow", 0.01, 1e6, &s->slow));
    double low = fmax(0, floor(turning_point(c, s, s->fast))), high = fmin(c->n_rot - 1, ceil(turning_point(c, s, s->slow)));
    for (int32_t i = 0; i < c->n_rot / 2; i++) {
        double kept = 1 - fmin(1, fmax(0, (i - low) / fmax(0.001, high - low)));
        c->rope_freq[i] *= kept + (1 - kept) / s->factor;
    }
    c->rope_size = (float)(s->attn * (0.1 * log(s->factor) + 1));
    return WITAN_OK;
}

static wt_status scale(wt_ctx *cx, wt_config *c, scaling *s)
{
    char name[160];
    wt_str type = { "none", 4 };
    double old = 1;
    snprintf(name, sizeof name, "%s.rope.scaling.type", s->arch);
    WT_TRY(wt_gguf_str(cx, s->g, name, false, &type));
    WT_TRY(key(cx, s, "scale_linear", 1e-3, 1e6, &old));      /* how files of 2023 say it */
    s->factor = old;
    WT_TRY(key(cx, s, "scaling.factor", 0, 1e6, &s->factor));
    WT_TRY(key(cx, s, "scaling.attn_factor", 1e-3, 1e3, &s->attn));
    bool is_yarn = type.n == 4 && !memcmp(type.s, "yarn", 4), linear = type.n == 6 && !memcmp(type.s, "linear", 6);
    if (!is_yarn && !linear && (type.n != 4 || memcmp(type.s, "none", 4)))
        return wt_fail(cx, WT_EUNSUPPORTED, "%s: %s is \"%.*s\"; expected none, linear or yarn", s->g->path, name, (int)(type.n < 40 ? type.n : 40), type.s);
    if (s->factor <= 0) s->factor = 1;                        /* 0 is how some files say "none" */
    c->rope_size = (float)s->attn;
    if (is_yarn) return yarn(cx, c, s);
    if (linear || old != 1) for (int32_t i = 0; i < c->n_rot / 2; i++) c->rope_freq[i] /= s->factor;
    return WITAN_OK;
}

wt_status wt_config_rope(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, wt_config *c)
{
    int32_t half = c->n_rot / 2;
    scaling s = { .g = g, .arch = arch->name, .fast = 32, .slow = 1, .attn = 1 };
    const wt_tensor *t = wt_gguf_tensor(g, "rope_freqs.weight");
    if (t && (t->type != WT_F32 || t->n != (size_t)half))
        return wt_fail(cx, WT_ESHAPE, "%s: rope_freqs.weight: expected %d values of F32, found %zu of %s", g->path, half, t->n, wt_type_get(t->type)->name);
    c->rope_freq = wt_alloc(cx, (size_t)half, sizeof *c->rope_freq);
    if (!c->rope_freq) return WT_ENOMEM;
    for (int32_t i = 0; i < half; i++) {
        float factor = t ? ((const float *)t->data)[i] : 1;
        if (!(factor > 0)) return wt_fail(cx, WT_EFORMAT, "%s: rope_freqs.weight: factor %d is %g, expected more than 0", g->path, i, (double)factor);
        c->rope_freq[i] = pow(c->rope_base, -2.0 * i / c->n_rot) / factor;
    }
    return scale(cx, c, &s);
}
