/* Dimensions of published checkpoints, from their config.json, of tiny models for tests, and of two to measure training with. */
#include "edit/random_model.h"

const wt_dims wt_random_dims[] = {
    /* name                 arch        pre         layers width heads kv  head  ff     experts used ff_exp shared vocab   context  base   eps */
    { "olmoe-1b-7b",       "olmoe",    "gpt-2",     16,  2048, 16, 16, 128,     0,   64, 8,  1024,     0,  50304,   4096,   1e4f, 1e-5f, .qk_full = true },
    { "qwen3-30b-a3b",     "qwen3moe", "qwen2",     48,  2048, 32,  4, 128,     0,  128, 8,   768,     0, 151936,  40960,   1e6f, 1e-6f, .qk_head = true },
    { "qwen3-235b-a22b",   "qwen3moe", "qwen2",     94,  4096, 64,  4, 128,     0,  128, 8,  1536,     0, 151936,  40960,   1e6f, 1e-6f, .qk_head = true },
    { "qwen1.5-moe-a2.7b", "qwen2moe", "qwen2",     24,  2048, 16, 16, 128,     0,   60, 4,  1408,  5632, 151936,   8192,   1e6f, 1e-6f, .bias = true },
    { "qwen2-57b-a14b",    "qwen2moe", "qwen2",     28,  3584, 28,  4, 128,     0,   64, 8,  2560, 20480, 151936,  32768,   1e6f, 1e-6f, .bias = true },
    { "mixtral-8x7b",      "llama",    "gpt-2",     32,  4096, 32,  8, 128,     0,    8, 2, 14336,     0,  32000,  32768,   1e6f, 1e-5f, .tied = false },
    { "mixtral-8x22b",     "llama",    "gpt-2",     56,  6144, 48,  8, 128,     0,    8, 2, 16384,     0,  32768,  65536,   1e6f, 1e-5f, .tied = false },
    { "llama-3.2-1b",      "llama",    "llama-bpe", 16,  2048, 32,  8,  64,  8192,    0, 0,     0,     0, 128256, 131072,   5e5f, 1e-5f, .tied = true },
    { "llama-3.1-8b",      "llama",    "llama-bpe", 32,  4096, 32,  8, 128, 14336,    0, 0,     0,     0, 128256, 131072,   5e5f, 1e-5f, .tied = false },
    { "smollm2-135m",      "llama",    "smollm",    30,   576,  9,  3,  64,  1536,    0, 0,     0,     0,  49152,   8192,   1e5f, 1e-5f, .tied = true },
    { "qwen2.5-0.5b",      "qwen2",    "qwen2",     24,   896, 14,  2,  64,  4864,    0, 0,     0,     0, 151936,  32768,   1e6f, 1e-6f, .tied = true, .bias = true },
    { "qwen3-0.6b",        "qwen3",    "qwen2",     28,  1024, 16,  8, 128,  3072,    0, 0,     0,     0, 151936,  40960,   1e6f, 1e-6f, .tied = true, .qk_head = true },
    { "tiny-olmoe",        "olmoe",    "gpt-2",      2,    64,  4,  4,  16,     0,    8, 2,    96,     0,    320,    256,   1e4f, 1e-5f, .qk_full = true },
    { "tiny-qwen3moe",     "qwen3moe", "qwen2",      2,    64,  4,  2,  32,     0,   16, 4,    32,     0,    320,    256,   1e6f, 1e-6f, .qk_head = true },
    { "tiny-qwen2moe",     "qwen2moe", "qwen2",      2,    64,  4,  4,  16,     0,   12, 4,    44,   128,    320,    256,   1e6f, 1e-6f, .bias = true },
    { "tiny-mixtral",      "llama",    "gpt-2",      2,   256,  4,  2,  64,     0,    4, 2,   512,     0,    320,    256,   1e6f, 1e-5f, .tied = false },
    { "tiny-llama",        "llama",    "gpt-2",      2,   256,  4,  2,  64,   512,    0, 0,     0,     0,    320,    256,   1e4f, 1e-5f, .tied = true },
    { "tiny-qwen2",        "qwen2",    "qwen2",      2,    64,  4,  2,  16,   160,    0, 0,     0,     0,    320,    256,   1e6f, 1e-6f, .tied = true, .bias = true },
    { "tiny-qwen3",        "qwen3",    "qwen2",      2,    64,  4,  2,  32,   160,    0, 0,     0,     0,    320,    256,   1e6f, 1e-6f, .tied = true, .qk_head = true },
    { "train-256",         "olmoe",    "gpt-2",      4,   256,  8,  8,  32,     0,   32, 4,   256,     0,   4096,    256,   1e4f, 1e-5f, .qk_full = true },
    { "train-512",         "olmoe",    "gpt-2",      4,   512,  8,  8,  64,     0,   64, 8,   256,     0,   4096,    256,   1e4f, 1e-5f, .qk_full = true },
    { 0 }
};
