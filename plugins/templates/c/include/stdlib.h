// What mini.c has of <stdlib.h>; on the include path for wasm32 only.
#ifndef MINI_STDLIB_H
#define MINI_STDLIB_H
#include <stddef.h>
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *ptr, size_t size);
void free(void *ptr);
_Noreturn void abort(void);
#endif
