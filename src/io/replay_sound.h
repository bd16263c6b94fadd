/*
 * replay_sound.h - sound files (WAV, W64, FLAC, AIFF and whatever else libsndfile opens) as block records: the one place
 * of psa that knows libsndfile.
 */
#ifndef PSA_IO_REPLAY_SOUND_H
#define PSA_IO_REPLAY_SOUND_H

#include "io/replay.h"

/* Is a file sound whose first bytes are these? MAYBE: they are too few to tell. */
enum psa_sound_told { PSA_SOUND_NO, PSA_SOUND_MAYBE, PSA_SOUND_YES };
enum psa_sound_told psa_replay_sound_told(struct psa_str bytes);

/* NULL will do. */
void psa_replay_sound_free(struct psa_replay_sound *sound);

#endif
