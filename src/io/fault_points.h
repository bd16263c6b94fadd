/*
 * fault_points.h - places where a test can let the program die or a call fail, by name. The ordinary build has none of
 * it: there PSA_FAULT_BEGIN is 0, and the linker finds no use for fault_points.c.
 *
 *     int fault = PSA_FAULT_BEGIN("segment.sync");
 *     if (fault < 0) return fault;
 *     ... the call ...
 *     PSA_FAULT_END(fault);
 *
 * io/disk.h describes the environment variables.
 */
#ifndef PSA_IO_FAULT_POINTS_H
#define PSA_IO_FAULT_POINTS_H

/* What to do at a point, besides failing with a negative errno. */
enum psa_fault_kind {
    PSA_FAULT_NONE,
    PSA_FAULT_HALF,       /* write half of the bytes, then die */
    PSA_FAULT_SHORT,      /* write half of the bytes and say so */
    PSA_FAULT_KILL_AFTER, /* do it, then die */
    PSA_FAULT_SKIP        /* a sync: do nothing, and say that it is done */
};

/* The point is passed: what is to happen there, an enum psa_fault_kind or -errno. May not return. point may be NULL. */
int psa_fault_begin(const char *point);
/* What the point is for is done: dies where that was ordered. */
void psa_fault_end(int fault);

#ifdef PSA_FAULT_POINTS
#define PSA_FAULT_BEGIN(point) psa_fault_begin(point)
#define PSA_FAULT_END(fault) psa_fault_end(fault)
#else
#define PSA_FAULT_BEGIN(point) ((void)(point), 0)
#define PSA_FAULT_END(fault) ((void)(fault))
#endif

#endif
