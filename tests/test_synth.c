/* test_synth.c: the synthetic corpus and the random numbers below it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/synth.h"

static int domain_named(const char *name)
{
    for (int d = 0; d < wt_synth_domains(); d++)
        if (!strcmp(wt_synth_domain_name(d), name)) return d;
    fail_msg("no domain %s", name);
    return -1;
}

static wt_synth_item item_of(int d, wt_synth_split split, const wt_synth_how *how, uint64_t index)
{
    wt_synth_item it;
    if (!wt_synth_make(d, split, how, index, &it)) fail_msg("no item %d/%d/%d", d, (int)split, (int)index);
    return it;
}

static wt_synth_item item(int d, wt_synth_split split, uint64_t seed, uint64_t index)
{
    return item_of(d, split, &(wt_synth_how){ .seed = seed, .book = 1 }, index);
}

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

/* Seeded by hand with 1, 2, 3, 4; the numbers are those of the authors' xoshiro256starstar.c. */
static void rng_matches_the_published_generator(void **state)
{
    (void)state;
    wt_rng r = {{1, 2, 3, 4}};
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
    for (int i = 0; i < 4; i++) assert_int_equal(wt_rng_u64(&r), want[i]);
}

static void rng_streams_of_one_seed_differ(void **state)
{
    (void)state;
    wt_rng a, b, c;
    wt_rng_seed(&a, 1, 0);
    wt_rng_seed(&b, 1, 1);
    wt_rng_seed(&c, 2, 0);
    uint64_t x = wt_rng_u64(&a), y = wt_rng_u64(&b), z = wt_rng_u64(&c);
    assert_true(x != y && x != z && y != z);
}

static void rng_below_stays_below_and_is_even(void **state)
{
    (void)state;
    wt_rng r;
    wt_rng_seed(&r, 7, 0);
    int count[6] = {0};
    for (int i = 0; i < 60000; i++) {
        uint64_t v = wt_rng_below(&r, 6);
        assert_true(v < 6);
        count[v]++;
    }
    for (int i = 0; i < 6; i++) assert_in_range(count[i], 9500, 10500);   /* five standard deviations are 457 */
    assert_int_equal(wt_rng_below(&r, 1), 0);
    assert_int_equal(wt_rng_below(&r, 0), 0);
}

static void rng_float_is_in_the_unit_interval(void **state)
{
    (void)state;
    wt_rng r;
    wt_rng_seed(&r, 7, 1);
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        float f = wt_rng_float(&r);
        assert_true(f >= 0 && f < 1);
        sum += (double)f;
    }
    assert_true(sum > 4800 && sum < 5200);
}

/* ---- corpus ------------------------------------------------------------------------------------------------------ */

enum { N_DOMAIN = 14 };

static void domains_have_names_and_descriptions(void **state)
{
    (void)state;
    assert_int_equal(wt_synth_domains(), N_DOMAIN);
    for (int d = 0; d < N_DOMAIN; d++) assert_true(*wt_synth_domain_name(d) && *wt_synth_domain_about(d));
    assert_null(wt_synth_domain_name(-1));
    assert_null(wt_synth_domain_name(N_DOMAIN));
    assert_null(wt_synth_domain_about(N_DOMAIN));
}

static void same_arguments_give_the_same_item(void **state)
{
    (void)state;
    for (int d = 0; d < wt_synth_domains(); d++) {
        int same = 0;
        for (uint64_t i = 0; i < 200; i++) {
            wt_synth_item a = item(d, WT_SYNTH_TRAIN, 3, i), b = item(d, WT_SYNTH_TRAIN, 3, i), c = item(d, WT_SYNTH_TRAIN, 4, i);
            assert_string_equal(a.prompt, b.prompt);
            assert_string_equal(a.answer, b.answer);
            same += !strcmp(a.prompt, c.prompt);
        }
        assert_true(same < 20);   /* another seed gives other items */
    }
}

static void splits_share_no_prompt(void **state)
{
    (void)state;
    for (int d = 0; d < wt_synth_domains(); d++)
        for (int split = WT_SYNTH_TRAIN; split <= WT_SYNTH_DEMOS; split++)
            for (uint64_t i = 0; i < 1000; i++) {
                /* The split is a function of the text, so one prompt cannot be in two, whatever the difficulty. */
                wt_synth_how how = { i % 3, 1, (int)(i % 4) };
                wt_synth_item it = item_of(d, (wt_synth_split)split, &how, i);
                assert_int_equal(wt_synth_split_of(it.prompt), split);
            }
}

static void every_answer_passes_and_every_other_is_refused(void **state)
{
    (void)state;
    for (int d = 0; d < wt_synth_domains(); d++)
        for (uint64_t i = 0; i < 3000; i++) {
            wt_synth_how how = { 5, 7, 1 + (int)(i % 3) };
            wt_synth_item it = item_of(d, WT_SYNTH_TRAIN, &how, i);
            char other[WT_SYNTH_MAX + 16];
            if (!wt_synth_check(d, 7, it.prompt, it.answer)) fail_msg("refused: %s|%s", it.prompt, it.answer);
            snprintf(other, sizeof other, "  %s \n", it.answer + 1);
            assert_true(wt_synth_check(d, 7, it.prompt, other));   /* white space around it does not count */
            snprintf(other, sizeof other, "%s0", it.answer);
            assert_false(wt_synth_check(d, 7, it.prompt, other));
            snprintf(other, sizeof other, "%s", it.answer);
            other[strlen(other) - 1] ^= 1;
            assert_false(wt_synth_check(d, 7, it.prompt, other));
            assert_false(wt_synth_check(d, 7, it.prompt, ""));
        }
}

static void prompts_end_and_answers_begin_where_tokenizers_cut(void **state)
{
    (void)state;
    for (int d = 0; d < wt_synth_domains(); d++)
        for (uint64_t i = 0; i < 1500; i++) {
            wt_synth_how how = { 1, 1, 1 + (int)(i % 3) };
            wt_synth_item it = item_of(d, WT_SYNTH_VALID, &how, i);
            size_t most_prompt = how.difficulty == WT_SYNTH_HARD ? 240 : 120, most_answer = how.difficulty == WT_SYNTH_HARD ? 120 : 60;
            assert_true(it.prompt[strlen(it.prompt) - 1] != ' ');
            assert_true(it.answer[0] == ' ' && it.answer[1] > ' ');
            assert_true(strlen(it.prompt) < most_prompt && strlen(it.answer) < most_answer);
        }
}

/* How many of 800 questions are different. */
static size_t different(int d, int level)
{
    static wt_synth_item it[800];
    size_t n = 0;
    for (uint64_t i = 0; i < 800; i++) {
        size_t k = 0;
        it[n] = item_of(d, WT_SYNTH_TRAIN, &(wt_synth_how){ 1, 1, level }, i);
        while (k < n && strcmp(it[k].prompt, it[n].prompt)) k++;
        n += k == n;
    }
    return n;
}

static size_t length_of_all(int d, int level)
{
    size_t length = 0;
    for (uint64_t i = 0; i < 800; i++) {
        wt_synth_item it = item_of(d, WT_SYNTH_TRAIN, &(wt_synth_how){ 1, 1, level }, i);
        length += strlen(it.prompt) + strlen(it.answer);
    }
    return length;
}

/* Harder questions are longer; those of dates and of the phone book are more different ones. */
static void difficulty_shows(void **state)
{
    (void)state;
    for (int d = 0; d < wt_synth_domains(); d++) {
        const char *name = wt_synth_domain_name(d);
        bool count = !strcmp(name, "phonebook") || !strcmp(name, "dates");
        size_t n[4];
        for (int level = WT_SYNTH_EASY; level <= WT_SYNTH_HARD; level++) n[level] = count ? different(d, level) : length_of_all(d, level);
        if (n[1] >= n[2] || n[2] >= n[3]) fail_msg("%s: %zu, %zu, %zu", name, n[1], n[2], n[3]);
    }
    wt_synth_item it;
    assert_false(wt_synth_make(0, WT_SYNTH_TRAIN, &(wt_synth_how){ .difficulty = 4 }, 0, &it));
    assert_false(wt_synth_make(0, WT_SYNTH_TRAIN, &(wt_synth_how){ .difficulty = -1 }, 0, &it));
}

static void difficulty_zero_is_the_usual_one(void **state)
{
    (void)state;
    for (int d = 0; d < wt_synth_domains(); d++)
        for (uint64_t i = 0; i < 50; i++) {
            wt_synth_item a = item(d, WT_SYNTH_TEST, 1, i), b = item_of(d, WT_SYNTH_TEST, &(wt_synth_how){ 1, 1, WT_SYNTH_USUAL }, i);
            assert_string_equal(a.prompt, b.prompt);
        }
}

/* A test question about the phone book can be answered by who has learnt the training ones: its fact is among them, in other words. */
static void facts_of_the_phone_book_are_in_training(void **state)
{
    (void)state;
    enum { N = 120 };
    static char known[N][32];
    int d = domain_named("phonebook"), n = 0;
    static const char *const last[] = { "Hill", "Stone", "Brook", "Field", "Wood", "Lake", "Marsh", "Ford", "Moore", "Dale", "Ridge", "West", "Lane",
                                        "Park", "Bell", "Cook", "Smith", "Ward", "Young", "Frost" };
    for (int split = WT_SYNTH_TRAIN; split <= WT_SYNTH_TEST; split += WT_SYNTH_TEST)
        for (uint64_t i = 0; i < 6000; i++) {
            wt_synth_item it = item(d, (wt_synth_split)split, 9, i);
            const char *name = NULL;
            for (int k = 0; k < 20 && !name; k++) {
                const char *at = strstr(it.prompt, last[k]);
                for (name = at; name && name > it.prompt && (name[-1] != ' ' || name == at);) name--;   /* the first name's beginning */
            }
            char fact[32];
            if (!name) fail_msg("no name in: %s", it.prompt);
            snprintf(fact, sizeof fact, "%.*s%.8s", (int)strcspn(name, " "), name, it.answer);
            int k = 0;
            while (k < n && strcmp(known[k], fact)) k++;
            if (k < n) continue;
            if (split == WT_SYNTH_TEST || n == N) fail_msg("unknown fact %s: %s", fact, it.prompt);
            strcpy(known[n++], fact);
        }
    assert_true(n > 110);                             /* people; two of one first name may share a number */
}

static void another_book_holds_other_numbers(void **state)
{
    (void)state;
    int d = domain_named("phonebook"), same = 0;
    for (uint64_t i = 0; i < 200; i++) {
        wt_synth_item a = item_of(d, WT_SYNTH_TRAIN, &(wt_synth_how){ 1, 1, 0 }, i), b = item_of(d, WT_SYNTH_TRAIN, &(wt_synth_how){ 1, 2, 0 }, i);
        assert_string_equal(a.prompt, b.prompt);
        same += !strcmp(a.answer, b.answer);
    }
    assert_true(same < 5);
}

/* Yes and no, paths and none, are about as frequent as chance makes guessing worthless. */
static void answers_of_the_graph_are_balanced(void **state)
{
    (void)state;
    int d = domain_named("graph"), reach = 0, yes = 0, path = 0, none = 0;
    for (uint64_t i = 0; i < 4000; i++) {
        wt_synth_item it = item(d, WT_SYNTH_TRAIN, 1, i);
        if (strstr(it.prompt, "reach")) { reach++; yes += !strcmp(it.answer, " yes"); }
        if (strstr(it.prompt, "path")) { path++; none += !strcmp(it.answer, " none"); }
    }
    assert_in_range(yes * 100 / reach, 35, 75);
    assert_in_range(none * 100 / path, 5, 35);
}

/* Worked out by hand. */
static void answers_are_right(void **state)
{
    (void)state;
    static const struct { const char *domain, *prompt, *answer; } want[] = {
        {"arithmetic", "Compute 47 + 25 =", " 72"},
        {"arithmetic", "Compute 40 - 40 =", " 0"},
        {"arithmetic", "Compute 12 + 5 - 9 =", " 8"},
        {"units", "Convert 3 m to cm:", " 300 cm"},
        {"units", "Convert 7000 g to kg:", " 7 kg"},
        {"units", "Convert 2 h 5 min to min:", " 125 min"},
        {"units", "Convert 135 min to h and min:", " 2 h 15 min"},
        {"units", "Convert 12007 kg to t and kg:", " 12 t 7 kg"},
        {"sets", "Sort d a p c:", " a c d p"},
        {"sets", "First of d b c:", " b"},
        {"sets", "Last of d b c:", " d"},
        {"sets", "Union of c a and b c:", " a b c"},
        {"sets", "Common to c a and b c:", " c"},
        {"sets", "Common to a b and c d:", " nothing"},
        {"dates", "The day 5 days after 28 March is", " 2 April"},
        {"dates", "The day 2 days after 27 February is", " 1 March"},
        {"dates", "The day 3 days before 2 January is", " 30 December"},
        {"dates", "If 3 May is a Monday, 8 May is a", " Saturday"},
        {"dates", "If 8 May is a Monday, 1 May is a", " Monday"},
        {"recall", "Note: the dog is red, the king is gold, the fish is pink; the king is", " gold"},
        {"grammar", "In Velic, \"the red bird saw two dogs\" is", " na vim tiri rud kano du"},
        {"grammar", "In Velic, \"two old fish help the small child\" is", " hap suli vet du lapi pik"},
        {"json", "{\"cat\": 3, \"dog\": 7} get \"dog\":", " 7"},
        {"json", "{\"cat\": 3, \"dog\": 7} drop \"cat\" ->", " {\"dog\": 7}"},
        {"json", "{\"cat\": 3, \"dog\": 7} set \"cat\": 40 ->", " {\"cat\": 40, \"dog\": 7}"},
        {"json", "{\"cat\": 3, \"dog\": 7} rename \"dog\" to \"sun\" ->", " {\"cat\": 3, \"sun\": 7}"},
        {"json", "{\"cat\": 3, \"dog\": 7} swap ->", " {\"cat\": 7, \"dog\": 3}"},
        {"json", "{\"cat\": 3, \"dog\": 7, \"egg\": 1} keys ->", " [\"cat\", \"dog\", \"egg\"]"},
        {"grammar", "In Velic, \"the dog sees the cat and two boys called the old king\" is", " vim kano mau e na kel bodo du reku vet"},
        {"graph", "Graph D>E A>C C>D B>A; path A to E:", " A>C>D>E"},
        {"graph", "Graph A>B B>D A>C C>D; path A to D:", " A>B>D"},
        {"graph", "Graph A>B B>C C>D A>D; path A to D:", " A>D"},
        {"graph", "Graph A>B C>D; path A to D:", " none"},
        {"graph", "Graph A>B B>C; reach A to C?", " yes"},
        {"graph", "Graph A>B B>C; reach C to A?", " no"},
        {"graph", "Graph A>D A>B C>A; next of A:", " B D"},
        {"graph", "Graph A>D A>B C>A; next of D:", " none"},
        {"roman", "Roman 42 is", " XLII"},
        {"roman", "Roman 3999 is", " MMMCMXCIX"},
        {"roman", "Roman CDXLIV is", " 444"},
        {"spelling", "Spell 47:", " forty seven"},
        {"spelling", "Spell 0:", " zero"},
        {"spelling", "Spell 310:", " three hundred ten"},
        {"spelling", "Spell 12005:", " twelve thousand five"},
        {"spelling", "Spell 5000:", " five thousand"},
        {"spelling", "Digits of nine hundred nineteen:", " 919"},
        {"spelling", "Digits of one hundred thousand eleven:", " 100011"},
        {"cipher", "Reverse H-A-T:", " T-A-H"},
        {"cipher", "Shift H-A-Z by 2:", " J-C-B"},
        {"brackets", "Close ( [ { } :", " ] )"},
        {"brackets", "Close { ( ) [ :", " ] }"},
        {"code", "x = 3; y = x + 4; print(y) #", " 7"},
        {"code", "x = 9; y = x - 4; z = x + 1; print(z) #", " 10"},
        {"code", "print(max([4, 9, 2])) #", " 9"},
        {"code", "print(sum([4, 9, 2])) #", " 15"},
        {"code", "print(len([4, 9, 2, 2])) #", " 4"},
        {"code", "print(sorted([4, 9, 2])) #", " [2, 4, 9]"},
        {"code", "print([4, 9, 2][1]) #", " 9"},
        {"code", "print([4, 9, 2][::-1]) #", " [2, 9, 4]"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char got[WT_SYNTH_MAX];
        if (!wt_synth_solve(domain_named(want[i].domain), 1, want[i].prompt, got)) fail_msg("no answer: %s", want[i].prompt);
        assert_string_equal(got, want[i].answer);
    }
}

static void foreign_prompts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " ", "Compute", "Compute 1 +", "Compute 99999999 + 1 =", "Convert 3 m to kg:", "Convert 7 g to kg:", "Sort:",
        "Sort a z:", "The day 5 days after 31 April is", "If 3 May is a Moonday, 8 May is a", "Note: the dog is red; the cat is", "Note: the dog is red the dog is",
        "In Velic, \"the red birds saw\" is", "{\"cat\": 3} get \"dog\":", "{\"cat\": 3", "print(x) #", "x = y + 1; print(x) #",
        "print(max(3)) #", "print([1, 2][7]) #", "Graph A>B; path A to Z:", "Graph A>B path A to B:", "Graph; next of", "Question: to call Ann, dial",
        "to call Ann Hill, dial", "Question: to call Ann Hill, dial now", "Roman IIII is", "Roman 0 is", "Roman 4000 is", "Roman VX is", "Spell:",
        "Digits of seven forty:", "Digits of thousand:", "Digits of one hundred hundred:", "Reverse H-:", "Reverse h-a:", "Shift H-A:",
        "Reverse A-A-A-A-A-A-A-A-A:", "Close ( ] :", "Close ( ) :", "Close :", "Close ( x :",
    };
    char got[WT_SYNTH_MAX];
    for (int d = 0; d < wt_synth_domains(); d++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            if (wt_synth_solve(d, 1, bad[i], got)) fail_msg("%s: answered \"%s\" with \"%s\"", wt_synth_domain_name(d), bad[i], got);
    assert_false(wt_synth_solve(-1, 1, "Compute 1 + 1 =", got));
    wt_synth_how how = { 1, 1, 0 };
    wt_synth_item it;
    assert_false(wt_synth_make(N_DOMAIN, WT_SYNTH_TRAIN, &how, 0, &it));
    assert_false(wt_synth_make(0, (wt_synth_split)4, &how, 0, &it));
}

/* The shipped model was trained on this corpus: a change here makes its documentation wrong. */
static void first_items_of_seed_one_stay_what_they_were(void **state)
{
    (void)state;
    static const char *const want[] = {
        "Compute 94 + 0 =",
        "Convert 69000 g to kg:",
        "Common to n h and n a:",
        "The day 5 days before 27 January is",
        "Note: the child is grey, the horse is orange, the bird is pink, the king is black; the horse is",
        "In Velic, \"two small kings saw two big bears\" is",
        "{\"egg\": 4, \"hat\": 9} set \"egg\": 9 ->",
        "print(len([8, 6, 6, 9])) #",
    };
    for (int d = 0; d < (int)(sizeof want / sizeof *want); d++) {
        wt_synth_item it = item(d, WT_SYNTH_TRAIN, 1, 0);
        assert_string_equal(it.prompt, want[d]);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(rng_matches_the_published_generator),
        cmocka_unit_test(rng_streams_of_one_seed_differ),
        cmocka_unit_test(rng_below_stays_below_and_is_even),
        cmocka_unit_test(rng_float_is_in_the_unit_interval),
        cmocka_unit_test(domains_have_names_and_descriptions),
        cmocka_unit_test(same_arguments_give_the_same_item),
        cmocka_unit_test(splits_share_no_prompt),
        cmocka_unit_test(every_answer_passes_and_every_other_is_refused),
        cmocka_unit_test(prompts_end_and_answers_begin_where_tokenizers_cut),
        cmocka_unit_test(difficulty_shows),
        cmocka_unit_test(difficulty_zero_is_the_usual_one),
        cmocka_unit_test(facts_of_the_phone_book_are_in_training),
        cmocka_unit_test(another_book_holds_other_numbers),
        cmocka_unit_test(answers_of_the_graph_are_balanced),
        cmocka_unit_test(answers_are_right),
        cmocka_unit_test(foreign_prompts_are_refused),
        cmocka_unit_test(first_items_of_seed_one_stay_what_they_were),
    };
    return cmocka_run_group_tests(test, NULL, NULL);
}
