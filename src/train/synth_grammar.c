/* synth_grammar.c: the domain "grammar", translation into an invented language.
 *
 * `In Velic, "the red bird saw two dogs" is` -> " na vim tiri rud kano du". The rules:
 *   - the verb comes first, then the subject, then the object; a past verb has "na" before it;
 *   - an adjective follows its noun; "two" becomes "du" at the end of its noun phrase; "the" has no word;
 *   - "and" between sentences is "e".
 * One sentence; easy: without adjectives; hard: two sentences. */
#include "train/synth_domain.h"

#include <string.h>

static const char *const noun[]    = {"bird", "dog", "cat", "horse", "fish", "girl", "boy", "king", "child", "bear", NULL};
static const char *const nouns[]   = {"birds", "dogs", "cats", "horses", "fish", "girls", "boys", "kings", "children", "bears", NULL};
static const char *const v_noun[]  = {"tiri", "kano", "mau", "pelo", "suli", "nena", "bodo", "reku", "lapi", "urso"};
static const char *const adj[]     = {"red", "big", "old", "small", "young", "good", NULL};
static const char *const v_adj[]   = {"rud", "gam", "vet", "pik", "jun", "bel"};
static const char *const verb[]    = {"sees", "likes", "finds", "helps", "calls", "hears", NULL};
static const char *const verbs[]   = {"see", "like", "find", "help", "call", "hear", NULL};
static const char *const past[]    = {"saw", "liked", "found", "helped", "called", "heard", NULL};
static const char *const v_verb[]  = {"vim", "lok", "fen", "hap", "kel", "oro"};

typedef struct phrase { int noun, adj; bool two; } phrase;   /* adj -1: none */

static phrase draw_phrase(wt_rng *rng, bool easy)
{
    return (phrase){.noun = wt_synth_between(rng, 0, 9), .adj = wt_synth_between(rng, -4, easy ? -1 : 5),
                    .two = wt_synth_between(rng, 0, 2) == 0};
}

static void put_phrase(char *buf, phrase p)
{
    wt_synth_put(buf, "%s ", p.two ? "two" : "the");
    if (p.adj >= 0) wt_synth_put(buf, "%s ", adj[p.adj]);
    wt_synth_put(buf, "%s", (p.two ? nouns : noun)[p.noun]);
}

static void put_sentence(wt_rng *rng, bool easy, char *prompt)
{
    phrase who = draw_phrase(rng, easy), whom = draw_phrase(rng, easy);
    const char *const *form = wt_synth_between(rng, 0, 1) ? past : who.two ? verbs : verb;
    put_phrase(prompt, who);
    wt_synth_put(prompt, " %s ", form[wt_synth_between(rng, 0, 5)]);
    put_phrase(prompt, whom);
}

static void grammar_ask(wt_rng *rng, int difficulty, char *prompt)
{
    wt_synth_put(prompt, "In Velic, \"");
    put_sentence(rng, difficulty == 1, prompt);
    if (difficulty == 3) {
        wt_synth_put(prompt, " and ");
        put_sentence(rng, false, prompt);
    }
    wt_synth_put(prompt, "\" is");
}

static bool read_phrase(const char **s, phrase *p)
{
    p->adj = -1;
    p->two = wt_synth_skip(s, "two ");
    if (!p->two && !wt_synth_skip(s, "the ")) return false;
    if (wt_synth_pick(s, adj, &p->adj) && !wt_synth_skip(s, " ")) return false;
    return wt_synth_pick(s, p->two ? nouns : noun, &p->noun);
}

static void put_velic(char *answer, phrase p)
{
    wt_synth_put(answer, " %s", v_noun[p.noun]);
    if (p.adj >= 0) wt_synth_put(answer, " %s", v_adj[p.adj]);
    if (p.two) wt_synth_put(answer, " du");
}

static bool translate(const char **s, char *answer)
{
    phrase who, whom;
    int v;
    if (!read_phrase(s, &who) || !wt_synth_skip(s, " ")) return false;
    bool was = wt_synth_pick(s, past, &v);
    if (!was && !wt_synth_pick(s, who.two ? verbs : verb, &v)) return false;
    if (!wt_synth_skip(s, " ") || !read_phrase(s, &whom)) return false;
    wt_synth_put(answer, "%s %s", was ? " na" : "", v_verb[v]);
    put_velic(answer, who);
    put_velic(answer, whom);
    return true;
}

static bool grammar_solve(const char *s, char *answer)
{
    if (!wt_synth_skip(&s, "In Velic, \"") || !translate(&s, answer)) return false;
    while (wt_synth_skip(&s, " and ")) {
        wt_synth_put(answer, " e");
        if (!translate(&s, answer)) return false;
    }
    return strcmp(s, "\" is") == 0;
}

const wt_synth_domain wt_synth_grammar = {
    .name = "grammar", .about = "translation of short sentences into an invented language",
    .ask = grammar_ask, .solve = grammar_solve,
};
