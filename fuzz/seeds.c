/* Writes the inputs that fuzzing begins with: a folder for each target, of files of a few hundred bytes to a few KB.
 *     seeds FOLDER */
#include "vocabulary.h"

#include "../tests/mini.h"
#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *root;
static wt_ctx *cx;

static void must(wt_status st)
{
    if (st == WITAN_OK) return;
    fprintf(stderr, "seeds: %s\n", witan_error(cx));
    exit(1);
}

static char *place(const char *target, const char *name)
{
    static char path[4][1024];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", root, target);
    must(wt_folder_make(cx, p));
    snprintf(p, sizeof path[0], "%s/%s/%s", root, target, name);
    return p;
}

static void put(const char *target, const char *name, const char *s, size_t n) { must(wt_file_write(cx, place(target, name), s, n)); }

/* ---- models ---------------------------------------------------------------------------------------------------------- */

static void model(const mini *m, const char *path, uint64_t split)
{
    witan_model *opened;
    char *first;
    must(mini_write(cx, m, path, split, &first));
    must(witan_model_open(cx, first, NULL, &opened));       /* a seed that does not open would be a poor one */
    witan_model_free(opened);
    witan_free(cx, first);
}

/* Two files one behind the other, as the target gguf takes them. */
static void split_model(void)
{
    char *part[2] = { place("gguf", "x-00001-of-00002.gguf"), place("gguf", "x-00002-of-00002.gguf") }, *data[2], *both;
    size_t n[2];
    model(minis, place("gguf", "x.gguf"), 2700);
    for (int i = 0; i < 2; i++) must(wt_file_read(cx, part[i], 1 << 20, data + i, n + i));
    both = malloc(n[0] + n[1]);
    if (!both) abort();
    memcpy(both, data[0], n[0]);
    memcpy(both + n[0], data[1], n[1]);
    put("gguf", "split", both, n[0] + n[1]);
    free(both);
    for (int i = 0; i < 2; i++) { witan_free(cx, data[i]); remove(part[i]); }
}

/* ---- everything else ------------------------------------------------------------------------------------------------- */

static const char documents[] =
    "{\"domain\":\"a\",\"text\":\"ab ab aba\"}\n{\"domain\":\"b\",\"prompt\":\"a b\",\"answer\":\" ab\"}\n\n{\"text\":\"b\\u00e9\\n\",\"domain\":null}\n{\"domain\":\"a\",\"text\":\"\"}\n";

/* The calibration record of a tiny model, and a plan made from it. */
static void record_and_plan(void)
{
    witan_model *m;
    witan_record *r;
    witan_plan *p;
    static const char plain[] = "{\"domain\":\"a\",\"text\":\"ab ab aba\"}\n{\"domain\":\"b\",\"prompt\":\"a b\",\"answer\":\" ab\"}\n";
    put("docs", "documents", documents, strlen(documents));
    put("docs", "plain", plain, strlen(plain));
    must(witan_model_open(cx, place("gguf", "olmoe"), NULL, &m));
    must(witan_profile(cx, m, &(witan_profile_options){ .data = place("docs", "plain") }, &r));
    must(witan_record_save(cx, r, place("record", "record")));
    must(witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "freq", .keep = 0.5 }, &p));
    must(witan_plan_save(cx, p, place("plan", "plan")));
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
}

static void texts(void)
{
    static const char *const text[] = {
        "the the then in aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1234567", "it's we'll THEY'RE I'm 's 'S don't", "a  b   c\n\n d\t\te \r\n f  \n ",
        "caf\xC3\xA9 \xE5\xAD\x97 \xF0\x9F\x98\x80 e\xCC\x81 \xD9\x85\xC2\xA0x", "<|end|> a<|end<tool>b\xEF\xBD\x9C", "\xFF\xFE\xC3 \xE5\xAD\x80\xED\xA0\x80\xF4\x90\x80\x80", "x=3; print(x) /* \xE2\x96\x81 */" };
    char name[32], buf[200];
    for (size_t v = 0; v < fuzz_vocabulary_count(); v++)
        for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
            snprintf(name, sizeof name, "%zu-%zu", v, i);
            int n = snprintf(buf, sizeof buf, "%c%c%s", (int)v, i % 2 ? 6 : 0, text[i]);
            put("text", name, buf, (size_t)n);
        }
}

static void vocabularies(void)
{
    static const char *const described[] = {
        "gpt2\ngpt-2\n@\n3<|end|>\n1a\n1b\n1ab\n1\xC4\xA0\n1\xC4\xA0" "ab\n4<tool>\n\na b\n\xC4\xA0 ab\n",
        "gpt2\nllama-bpe\n0\n3<s>\n1a\n1b\n1c\n1ab\n1bc\n1abc\n\nb c\n",
        "gpt2\nqwen2\n1\n1a\n1aa\n1aaaa\n\na a\naa aa\n",
        "llama\n\n0\n2<unk>\n3<s>\n3</s>\n6<0x00>\n6<0x0A>\n6<0xFF>\n1\xE2\x96\x81\n1a\n1b\n1\xE2\x96\x81" "a\n1ab\n4<tool>\n\n",
        "llama\ndefault\n\xB0\n2<unk>\n6<0x-1>\n6<0x61>\n1\xE2\x96\x81\n1\xE2\x96\x81\xE2\x96\x81\n1t\n1h\n1th\n\n" };
    char name[32];
    for (size_t i = 0; i < sizeof described / sizeof *described; i++) {
        snprintf(name, sizeof name, "described-%zu", i);
        put("vocab", name, described[i], strlen(described[i]));
    }
    wt_gguf_out *o;
    must(wt_gguf_out_open(cx, place("vocab", "file"), &o));
    must(mini_vocabulary(o));
    must(wt_gguf_out_commit(&o));
}

int main(int argc, char **argv)
{
    if (argc != 2) { fprintf(stderr, "usage: seeds FOLDER\n"); return 2; }
    root = argv[1];
    cx = witan_ctx_new(&(witan_config){ .threads = 1 });
    if (!cx) return 1;
    for (const mini *m = minis; m->name; m++) model(m, place("gguf", m->name), 0);
    split_model();
    record_and_plan();
    texts();
    vocabularies();
    witan_ctx_free(cx);
    return 0;
}
