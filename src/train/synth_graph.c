/* synth_graph.c: the domain "graph", paths in a small directed graph.
 *
 * "Graph D>E A>C C>D; path A to E:" -> " A>C>D>E"; "...; reach A to E?" -> " yes"; "...; next of A:" -> " C". A path is a
 * shortest one, of those the first in alphabetical order; where there is nothing to tell the answer is "none".
 * Six nodes and five edges, three of them in a chain; easy: four, three, two; hard: eight, nine, four. */
#include "train/synth_domain.h"

#include <string.h>

enum { max_node = 8, max_edge = 9, far = 99 };

typedef struct graph { unsigned to[max_node]; } graph;   /* bit v of to[u]: an edge from u to v */
typedef struct edge { int from, to; } edge;

static const struct { int nodes, edges, chain; } size[] = {{4, 3, 2}, {6, 5, 3}, {8, 9, 4}};

/* A chain through some nodes, then edges anywhere. */
static void draw_edges(wt_rng *rng, int difficulty, const int *node, edge *e)
{
    int n = size[difficulty - 1].nodes, chain = size[difficulty - 1].chain;
    graph g = {{0}};
    for (int i = 0; i < size[difficulty - 1].edges; i++) {
        do {
            e[i] = i < chain ? (edge){node[i], node[i + 1]} : (edge){wt_synth_between(rng, 0, n - 1), wt_synth_between(rng, 0, n - 1)};
        } while (e[i].from == e[i].to || g.to[e[i].from] >> e[i].to & 1);
        g.to[e[i].from] |= 1u << e[i].to;
    }
}

static void graph_ask(wt_rng *rng, int difficulty, char *prompt)
{
    int n = size[difficulty - 1].nodes, n_edge = size[difficulty - 1].edges, node[max_node], order[max_edge];
    edge e[max_edge];
    wt_synth_distinct(rng, n, n, node);
    draw_edges(rng, difficulty, node, e);
    wt_synth_distinct(rng, n_edge, n_edge, order);
    wt_synth_put(prompt, "Graph");
    for (int i = 0; i < n_edge; i++) wt_synth_put(prompt, " %c>%c", 'A' + e[order[i]].from, 'A' + e[order[i]].to);

    enum { PATH, REACH = 2, NEXT };
    int form = wt_synth_between(rng, PATH, NEXT), ends[2];
    bool along = wt_synth_between(rng, 0, form == REACH ? 1 : 3) != 0;   /* along the chain, or anywhere */
    wt_synth_distinct(rng, n, 2, ends);
    if (along) {
        ends[0] = node[wt_synth_between(rng, 0, 1)];
        ends[1] = node[wt_synth_between(rng, 2, size[difficulty - 1].chain)];
    }
    if (form == NEXT) wt_synth_put(prompt, "; next of %c:", 'A' + ends[0]);
    else if (form == REACH) wt_synth_put(prompt, "; reach %c to %c?", 'A' + ends[0], 'A' + ends[1]);
    else wt_synth_put(prompt, "; path %c to %c:", 'A' + ends[0], 'A' + ends[1]);
}

static bool read_node(const char **s, int *node)
{
    if (**s < 'A' || **s >= 'A' + max_node) return false;
    *node = *(*s)++ - 'A';
    return true;
}

/* Steps from every node to `end`; far: there is no way. */
static void distances(const graph *g, int end, int *d)
{
    for (int v = 0; v < max_node; v++) d[v] = v == end ? 0 : far;
    for (int round = 0; round < max_node; round++)
        for (int u = 0; u < max_node; u++)
            for (int v = 0; v < max_node; v++)
                if (g->to[u] >> v & 1 && d[v] + 1 < d[u]) d[u] = d[v] + 1;
}

static void put_path(const graph *g, const int *d, int from, char *answer)
{
    wt_synth_put(answer, " %c", 'A' + from);
    while (d[from]) {
        int v = 0;
        while (!(g->to[from] >> v & 1) || d[v] != d[from] - 1) v++;
        wt_synth_put(answer, ">%c", 'A' + v);
        from = v;
    }
}

static bool graph_solve(const char *s, char *answer)
{
    graph g = {{0}};
    int u, v, d[max_node];
    if (!wt_synth_skip(&s, "Graph")) return false;
    while (wt_synth_skip(&s, " ")) {
        if (!read_node(&s, &u) || !wt_synth_skip(&s, ">") || !read_node(&s, &v)) return false;
        g.to[u] |= 1u << v;
    }
    if (wt_synth_skip(&s, "; next of ")) {
        if (!read_node(&s, &u) || strcmp(s, ":") != 0) return false;
        for (v = 0; v < max_node; v++)
            if (g.to[u] >> v & 1) wt_synth_put(answer, " %c", 'A' + v);
        if (!g.to[u]) wt_synth_put(answer, " none");
        return true;
    }
    bool path = wt_synth_skip(&s, "; path ");
    if (!path && !wt_synth_skip(&s, "; reach ")) return false;
    if (!read_node(&s, &u) || !wt_synth_skip(&s, " to ") || !read_node(&s, &v) || strcmp(s, path ? ":" : "?") != 0) return false;
    distances(&g, v, d);
    if (!path) wt_synth_put(answer, d[u] < far ? " yes" : " no");
    else if (d[u] < far) put_path(&g, d, u, answer);
    else wt_synth_put(answer, " none");
    return true;
}

const wt_synth_domain wt_synth_graph = {
    .name = "graph", .about = "paths and neighbours in small directed graphs",
    .ask = graph_ask, .solve = graph_solve,
};
