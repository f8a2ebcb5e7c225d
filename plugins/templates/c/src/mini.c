// A C library of one page: a rule has no operating system under it. Blocks come in powers of two from
// 16 bytes; a freed one is kept for the next of its size, so that memory does not grow from batch to
// batch. Nothing is ever given back: the node drops the whole instance.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 16, SMALLEST = 16, CLASSES = 28, PAGE = 65536 };

typedef union block {
    uint32_t class;     // while it is in use
    union block *next;  // while it is free
    uint8_t size[HEADER];
} block;

extern uint8_t __heap_base;
static uintptr_t top;
static block *kept[CLASSES];

_Noreturn void abort(void) { __builtin_trap(); }

static void *take(size_t size) {
    if (top == 0) top = ((uintptr_t)&__heap_base + HEADER - 1) & ~(uintptr_t)(HEADER - 1);
    size_t end = __builtin_wasm_memory_size(0) * PAGE;
    if (size > end - top) {
        size_t pages = (size - (end - top) + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) abort();
    }
    void *taken = (void *)top;
    top += size;
    return taken;
}

void *malloc(size_t size) {
    uint32_t class = 0;
    while (((size_t)SMALLEST << class) < size)
        if (++class == CLASSES) abort();
    block *found = kept[class];
    if (found)
        kept[class] = found->next;
    else
        found = take(HEADER + ((size_t)SMALLEST << class));
    found->class = class;
    return (uint8_t *)found + HEADER;
}

void free(void *ptr) {
    if (!ptr) return;
    block *freed = (block *)((uint8_t *)ptr - HEADER);
    uint32_t class = freed->class;
    freed->next = kept[class];
    kept[class] = freed;
}

void *calloc(size_t count, size_t size) {
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) abort();
    return memset(malloc(all), 0, all);
}

void *realloc(void *ptr, size_t size) {
    if (!ptr) return malloc(size);
    size_t room = (size_t)SMALLEST << ((block *)((uint8_t *)ptr - HEADER))->class;
    if (size <= room) return ptr;
    void *moved = memcpy(malloc(size), ptr, room);
    free(ptr);
    return moved;
}

// With -mbulk-memory these are instructions, not calls of themselves.
void *memcpy(void *to, const void *from, size_t size) { return __builtin_memcpy(to, from, size); }
void *memmove(void *to, const void *from, size_t size) { return __builtin_memmove(to, from, size); }
void *memset(void *to, int byte, size_t size) { return __builtin_memset(to, byte, size); }

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *left = a, *right = b;
    for (size_t i = 0; i < size; i++)
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

// The bindings ask for an object that carries the interface; `quartier plugin build` puts it in.
void __component_type_object_force_link_lab_rule(void) {}
