/* The regular expressions of published splitting rules, as matchers written by hand. */
#ifndef WT_TEXT_PATTERN_H
#define WT_TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Looks for a match that begins at s; n > 0 bytes are left of the piece, and what follows them does not exist for the pattern.
 * True: the first *len bytes match. False: no match begins in the first *len bytes. *len is at least 1 and ends at a character.
 * memo: 0 at the start of a piece, then whatever the pattern left there; those that look far ahead use it to stay linear. */
typedef bool wt_pattern(const char *s, size_t n, size_t *len, size_t *memo);

wt_pattern wt_pat_number, wt_pat_number3, wt_pat_numbers;     /* \p{N}   \p{N}{1,3}   \p{N}+ */
wt_pattern wt_pat_ascii3;                                     /* [0-9][0-9][0-9] */
wt_pattern wt_pat_threes, wt_pat_thousands;                   /* cut numbers, digits in threes from the right */
wt_pattern wt_pat_newline, wt_pat_lines, wt_pat_trailing;     /* [\r\n]   [^\n]+|[\n]+   \s+$ */
wt_pattern wt_pat_gpt2, wt_pat_falcon, wt_pat_bloom;
wt_pattern wt_pat_llama3, wt_pat_qwen2, wt_pat_qwen35, wt_pat_gpt4o, wt_pat_tekken, wt_pat_kimi;
wt_pattern wt_pat_seed_coder, wt_pat_minicpm5, wt_pat_exaone_moe, wt_pat_plain_words;
wt_pattern wt_pat_coder_letters, wt_pat_coder_punct;          /* \s?\p{L}+   \s?\p{P}+ */
wt_pattern wt_pat_llm_letters, wt_pat_llm_punct;              /* the same over ranges of deepseek-llm */
wt_pattern wt_pat_cjk, wt_pat_kana, wt_pat_spaceless, wt_pat_deepseek3;

#endif
