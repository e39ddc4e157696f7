/* The log of a run as an SQLite database, for people who want to ask it questions. Made in memory and written whole, so that it is there complete or
 * not at all. The only file that knows SQLite. */
#include "train/log.h"

#include "base/file.h"
#include <sqlite3.h>
#include <string.h>

static const char tables[] =
    "CREATE TABLE run(key TEXT PRIMARY KEY, value TEXT);"
    "CREATE TABLE step(step INTEGER PRIMARY KEY, loss REAL, lr REAL, grad_norm REAL, tokens INTEGER, seconds REAL, tokens_per_second REAL);"
    "CREATE TABLE balance(step INTEGER, method TEXT, loss REAL, PRIMARY KEY(step, method));"
    "CREATE TABLE layer(step INTEGER, layer INTEGER, entropy REAL, load_entropy REAL, max_violation REAL, dropped REAL, PRIMARY KEY(step, layer));"
    "CREATE TABLE valid(step INTEGER, domain TEXT, loss REAL, PRIMARY KEY(step, domain));"
    "CREATE TABLE load(step INTEGER, layer INTEGER, expert INTEGER, pairs INTEGER, PRIMARY KEY(step, layer, expert));";

typedef struct db { wt_ctx *cx; sqlite3 *d; } db;

static wt_status failed(db *b) { return wt_fail(b->cx, WT_EIO, "run.db: %s", b->d ? sqlite3_errmsg(b->d) : "out of memory"); }

static wt_status run(db *b, const char *sql) { return sqlite3_exec(b->d, sql, NULL, NULL, NULL) == SQLITE_OK ? WITAN_OK : failed(b); }

/* Binds a member or value by its JSON type; what is missing or null is NULL. */
static void bind(sqlite3_stmt *s, int i, const json_t *v)
{
    if (json_is_integer(v)) sqlite3_bind_int64(s, i, json_integer_value(v));
    else if (json_is_real(v)) sqlite3_bind_double(s, i, json_real_value(v));
    else if (json_is_string(v)) sqlite3_bind_text(s, i, json_string_value(v), -1, SQLITE_TRANSIENT);
    else if (json_is_boolean(v)) sqlite3_bind_text(s, i, json_is_true(v) ? "true" : "false", -1, SQLITE_STATIC);
    else sqlite3_bind_null(s, i);
}

enum { INSERT_RUN, INSERT_STEP, INSERT_BALANCE, INSERT_LAYER, INSERT_VALID, INSERT_LOAD, N_INSERT };
static const char *const insert[N_INSERT] = {
    "INSERT INTO run VALUES(?,?)", "INSERT INTO step VALUES(?,?,?,?,?,?,?)", "INSERT INTO balance VALUES(?,?,?)", "INSERT INTO layer VALUES(?,?,?,?,?,?)",
    "INSERT INTO valid VALUES(?,?,?)", "INSERT INTO load VALUES(?,?,?,?)" };

static wt_status row(db *b, sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? WITAN_OK : failed(b);
}

static wt_status loads(db *b, sqlite3_stmt *s, const json_t *step, const json_t *load)
{
    size_t l, e;
    json_t *layer, *pairs;
    json_array_foreach(load, l, layer)
        json_array_foreach(layer, e, pairs) {
            bind(s, 1, step);
            sqlite3_bind_int64(s, 2, (int64_t)l);
            sqlite3_bind_int64(s, 3, (int64_t)e);
            bind(s, 4, pairs);
            WT_TRY(row(b, s));
        }
    return WITAN_OK;
}

static wt_status layers(db *b, sqlite3_stmt *s, const json_t *step, const json_t *list)
{
    static const char *const column[] = { "entropy", "load_entropy", "max_violation", "dropped" };
    size_t l;
    json_t *layer;
    json_array_foreach(list, l, layer) {
        if (!json_is_object(layer)) continue;
        bind(s, 1, step);
        sqlite3_bind_int64(s, 2, (int64_t)l);
        for (int i = 0; i < 4; i++) bind(s, 3 + i, json_object_get(layer, column[i]));
        WT_TRY(row(b, s));
    }
    return WITAN_OK;
}

/* Names and numbers of an object, beside the step. */
static wt_status named(db *b, sqlite3_stmt *s, const json_t *step, const json_t *object)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, name, v) {
        bind(s, 1, step);
        sqlite3_bind_text(s, 2, name, -1, SQLITE_TRANSIENT);
        bind(s, 3, v);
        WT_TRY(row(b, s));
    }
    return WITAN_OK;
}

static wt_status line(db *b, sqlite3_stmt *const s[N_INSERT], const json_t *o)
{
    static const char *const column[] = { "step", "loss", "lr", "grad_norm", "tokens", "seconds", "tokens_per_second" };
    const json_t *step = json_object_get(o, "step");
    if (json_object_get(o, "loss")) {
        for (int i = 0; i < 7; i++) bind(s[INSERT_STEP], 1 + i, json_object_get(o, column[i]));
        WT_TRY(row(b, s[INSERT_STEP]));
    }
    WT_TRY(named(b, s[INSERT_BALANCE], step, json_object_get(o, "balance")));
    WT_TRY(layers(b, s[INSERT_LAYER], step, json_object_get(o, "layers")));
    WT_TRY(named(b, s[INSERT_VALID], step, json_object_get(o, "valid")));
    return loads(b, s[INSERT_LOAD], step, json_object_get(o, "load"));
}

static wt_status options(db *b, sqlite3_stmt *s, const char *config)
{
    json_t *o;
    const char *key;
    json_t *v;
    WT_TRY(wt_json_parse(b->cx, config, strlen(config), "config.json", &o));
    wt_status st = WITAN_OK;
    json_object_foreach(o, key, v) {
        if (st != WITAN_OK) break;
        sqlite3_bind_text(s, 1, key, -1, SQLITE_TRANSIENT);
        bind(s, 2, v);
        st = row(b, s);
    }
    json_decref(o);
    return st;
}

static wt_status fill(db *b, const json_t *lines, const char *config)
{
    sqlite3_stmt *s[N_INSERT] = { NULL };
    size_t i;
    json_t *o;
    wt_status st = run(b, tables);
    for (i = 0; st == WITAN_OK && i < N_INSERT; i++)
        if (sqlite3_prepare_v2(b->d, insert[i], -1, s + i, NULL) != SQLITE_OK) st = failed(b);
    if (st == WITAN_OK) st = run(b, "BEGIN");
    if (st == WITAN_OK) st = options(b, s[INSERT_RUN], config);
    json_array_foreach(lines, i, o) {
        if (st != WITAN_OK) break;
        st = line(b, s, o);
    }
    if (st == WITAN_OK) st = run(b, "COMMIT");
    for (i = 0; i < N_INSERT; i++) sqlite3_finalize(s[i]);
    return st;
}

static wt_status save(db *b, const char *dir)
{
    sqlite3_int64 n;
    unsigned char *image = sqlite3_serialize(b->d, "main", &n, 0);
    char *path = wt_printf(b->cx, "%s/run.db", dir);
    wt_status st = !image ? wt_fail(b->cx, WT_ENOMEM, "run.db: out of memory") : path ? wt_file_write(b->cx, path, image, (size_t)n) : WT_ENOMEM;
    sqlite3_free(image);
    wt_free(b->cx, path);
    return st;
}

wt_status wt_run_database(wt_ctx *cx, const char *dir, const json_t *lines, const char *config)
{
    db b = { .cx = cx };
    wt_status st = sqlite3_open(":memory:", &b.d) == SQLITE_OK ? WITAN_OK : failed(&b);
    if (st == WITAN_OK) st = fill(&b, lines, config);
    if (st == WITAN_OK) st = save(&b, dir);
    sqlite3_close(b.d);
    return st;
}
