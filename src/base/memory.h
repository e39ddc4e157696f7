/* Advice to the system about memory: what it does with it changes speed only. */
#ifndef WT_BASE_MEMORY_H
#define WT_BASE_MEMORY_H

#include <stddef.h>

/* Asks for huge pages in the part of [p, p + n) that can have them. Before the memory is touched. */
void wt_huge_pages(void *p, size_t n);

#endif
